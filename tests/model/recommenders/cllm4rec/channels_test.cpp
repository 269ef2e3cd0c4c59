#include <gtest/gtest.h>

#include <algorithm>

#include "tests/model/recommenders/cllm4rec/small_model.h"
#include "tests/support/recording_communicator.h"
#include "tests/support/thread_world.h"

// Rows, softmax and sums on communicators of their own.

namespace cllm {
namespace {

using namespace testing;

enum class Use { kOne, kThree };

struct Trained : Tables {
  std::vector<std::vector<std::string>> log;  // [R], the operations of every rank on all its communicators
};

Trained train(int world_size, Use use, bool ahead, ItemSoftmax form) {
  Trained out;
  out.log.resize(static_cast<size_t>(world_size));
  run_ranks(world_size, [&](Communicator& comm) {
    auto& log = out.log[static_cast<size_t>(comm.rank())];
    const auto second = comm.duplicate("exchange"), third = comm.duplicate("softmax");
    RecordingCommunicator world(comm, "world", log), exchange(*second, "exchange", log),
        softmax(*third, "softmax", log);
    const Channels channels = use == Use::kOne ? Channels(world) : Channels(world, exchange, softmax);
    train_small(channels, "adam", {StepKind::kCollaborative, StepKind::kContent, StepKind::kCollaborative},
                {.lambda = 0.3, .learning_rate = 1e-2, .item_softmax = form}, ahead, out);
  });
  return out;
}

int64_t count(const Trained& run, const std::string& operation) { return std::ranges::count(run.log[0], operation); }

TEST(Channels, ThreeCommunicatorsGiveTheBitsOfOne) {
  for (const bool ahead : {false, true}) {
    const Trained one = train(3, Use::kOne, ahead, ItemSoftmax::kSharded),
                  three = train(3, Use::kThree, ahead, ItemSoftmax::kSharded);
    EXPECT_TRUE(one == three);
  }
}

TEST(Channels, EveryRankIssuesTheSameOperationsInTheSameOrder) {
  for (const int world_size : {2, 9}) {  // of 9 ranks two have no sequence
    for (const bool ahead : {false, true}) {
      for (const ItemSoftmax form : {ItemSoftmax::kSharded, ItemSoftmax::kGathered}) {
        const Trained run = train(world_size, Use::kThree, ahead, form);
        for (const auto& log : run.log) EXPECT_EQ(log, run.log[0]);
      }
    }
  }
}

TEST(Channels, RowsSoftmaxAndSumsTravelApart) {
  const Trained run = train(2, Use::kThree, /*ahead=*/true, ItemSoftmax::kSharded);
  EXPECT_EQ(count(run, "world all_reduce"), 3);    // the losses of a step
  EXPECT_EQ(count(run, "softmax all_reduce"), 2);  // of the two L-steps
  EXPECT_EQ(count(run, "softmax reduce_scatter"), 2);
  for (const std::string& operation : run.log[0]) {
    EXPECT_EQ(operation.ends_with("all_to_all"), operation.starts_with("exchange")) << operation;
  }
}

}  // namespace
}  // namespace cllm
