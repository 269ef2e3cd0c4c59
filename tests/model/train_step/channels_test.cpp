#include <gtest/gtest.h>

#include <algorithm>

#include "tests/model/train_step/small_model.h"
#include "tests/support/recording_communicator.h"
#include "tests/support/thread_world.h"

// Rows, softmax and sums on communicators of their own.

namespace cllm {
namespace {

using namespace testing;

enum class Use { kOne, kThree };

struct Trained {
  at::Tensor collaborative = at::zeros({kUsers + kItems, kWidth}, at::kDouble), content = collaborative.clone();
  std::vector<double> losses;
  std::vector<std::vector<std::string>> log;  // [R], the operations of every rank on all its communicators
};

Trained train(int world_size, Use use, bool ahead, ItemSoftmax form) {
  Trained out;
  out.log.resize(static_cast<size_t>(world_size));
  run_ranks(world_size, [&](Communicator& comm) {
    auto& log = out.log[static_cast<size_t>(comm.rank())];
    const auto second = comm.duplicate("exchange"), third = comm.duplicate("softmax");
    RecordingCommunicator world(comm, "world", log), exchange(*second, "exchange", log), softmax(*third, "softmax", log);
    const Channels channels = use == Use::kOne ? Channels(world) : Channels(world, exchange, softmax);
    const auto optimizer = make_row_optimizer({});
    RecModel model = small_model(comm, *optimizer);
    TrainStep step(channels, model, *optimizer);
    std::vector<Batch> batches;
    for (const StepKind kind : {StepKind::kCollaborative, StepKind::kContent, StepKind::kCollaborative}) {
      batches.push_back(batch_of(kind, comm.rank(), world_size));
    }
    const StepConfig config{.lambda = 0.3, .learning_rate = 1e-2, .item_softmax = form};
    for (size_t n = 0; n < batches.size(); ++n) {
      const bool announce = ahead && n + 1 < batches.size();
      const NextStep next{batches[std::min(n + 1, batches.size() - 1)], config};
      const StepLosses losses = step.run(batches[n], config, announce ? &next : nullptr);
      if (comm.rank() == 0) out.losses.push_back(losses.loss);
    }
    const TableLayout& layout = model.content.layout;
    for (int64_t local = 0; local < layout.num_local_rows(); ++local) {
      out.collaborative[layout.global(local)] = model.collaborative.weight[local];
      out.content[layout.global(local)] = model.content.weight[local];
    }
  });
  return out;
}

int64_t count(const Trained& run, const std::string& operation) { return std::ranges::count(run.log[0], operation); }

TEST(Channels, ThreeCommunicatorsGiveTheBitsOfOne) {
  for (const bool ahead : {false, true}) {
    const Trained one = train(3, Use::kOne, ahead, ItemSoftmax::kSharded),
                  three = train(3, Use::kThree, ahead, ItemSoftmax::kSharded);
    EXPECT_EQ(one.losses, three.losses);
    EXPECT_TRUE(at::equal(one.collaborative, three.collaborative) && at::equal(one.content, three.content));
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
