// A flipped bit in what all ranks hold alike is noticed by all ranks, which name it.
#include "launch/supervision/replica_guard.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <ATen/ops/ones.h>

#include "launch/failures/agree.h"
#include "launch/failures/exit_codes.h"
#include "tests/support/thread_world.h"

namespace cllm::testing {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

/// Compares after steps 1 to 4, every second one, with a bit of `victim` flipped before step 3. What each rank threw:
/// its line, or "none".
std::vector<std::string> lines(int world_size, int victim, int64_t every_steps) {
  std::vector<std::string> thrown(static_cast<size_t>(world_size), "none");
  run_ranks(world_size, [&](Communicator& comm) {
    const std::vector<ReplicatedTensor> replicas = {{"first", at::ones({3, 2})},
                                                    {"second", at::ones({4}, at::kDouble)}};
    ReplicaGuard guard(
        comm, [&] { return replicas; }, every_steps);
    try {
      for (int64_t step = 1; step <= 4; ++step) {
        if (step == 3 && comm.rank() == victim) guard.flip_a_bit();
        guard.step_done(step);
      }
    } catch (const AgreedFailure& failure) {
      EXPECT_EQ(failure.exit_code(), kPeerLost);
      thrown[static_cast<size_t>(comm.rank())] = failure.what();
    }
  });
  return thrown;
}

TEST(ReplicaGuard, NamesTheTensorAndTheRankThatDiffers) {
  const auto thrown = lines(3, 1, 2);
  EXPECT_THAT(thrown[0], HasSubstr("step 4: tensor \"second\" of rank 1 differs from the other ranks'"));
  EXPECT_EQ(thrown[1], "");
  EXPECT_EQ(thrown[2], "");
}

TEST(ReplicaGuard, NamesBothOfTwoRanks) {
  EXPECT_THAT(lines(2, 0, 2)[0], AllOf(HasSubstr("of ranks 0, 1 differs"), HasSubstr("no majority")));
}

TEST(ReplicaGuard, IsQuietWhenAllAgreeOrNothingIsToBeCompared) {
  for (const auto& [ranks, victim, every] : {std::tuple(3, 9, 1), std::tuple(1, 0, 1), std::tuple(3, 1, 0)}) {
    for (const std::string& line : lines(ranks, victim, every)) EXPECT_EQ(line, "none");
  }
}

}  // namespace
}  // namespace cllm::testing
