// What two checkpoints have in common: whatever the number of ranks that saved, and to the last bit.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "checkpoints/compare.h"
#include "checkpoints/directory.h"
#include "tests/support/checkpoint_state.h"
#include "tests/support/thread_world.h"

namespace cllm::testing {
namespace {

/// Saves make_state(1) after `change` on every rank.
CheckpointInfo save_changed(const std::filesystem::path& parent, int world_size,
                            const std::function<void(TrainState&)>& change = {}) {
  run_ranks(world_size, [&](Communicator& comm) {
    TrainState state = make_state(1, comm.rank(), world_size);
    if (change) change(state);
    save(comm, parent, 1, state);
  });
  return verify_checkpoint(parent / step_name(1), VerifyLevel::kFull);
}

/// Adds `value` to element (row, 2) of "l_user.weight" on the rank that owns the row.
void add_to_row(TrainState& state, int64_t row, double value) {
  const ShardedTensor& tensor = state.tensors[0];
  if (row >= tensor.first_row && row < tensor.first_row + tensor.rows.size(0))
    tensor.rows[row - tensor.first_row][2].add_(value);
}

TEST(Compare, EqualContentIsEqualWhateverTheNumberOfRanks) {
  const ScratchFolder one("compare_one"), two("compare_two");
  const CheckpointInfo a = save_changed(one.path(), 1), b = save_changed(two.path(), 3);
  for (const TensorDifference& tensor : compare_checkpoints(a, b)) {
    EXPECT_EQ(tensor.changed, 0) << tensor.name;
    EXPECT_EQ(tensor.largest, 0) << tensor.name;
    EXPECT_EQ(tensor.other, "") << tensor.name;
  }
  EXPECT_EQ(content_digest(a), content_digest(b));
}

TEST(Compare, ChangedRowsAreCountedAndTheLargestDifferenceIsGiven) {
  const ScratchFolder one("compare_one"), two("compare_two");
  const CheckpointInfo a = save_changed(one.path(), 2);
  const CheckpointInfo b = save_changed(two.path(), 3, [](TrainState& state) {
    add_to_row(state, 4, 0.5);
    add_to_row(state, 22, -3);
  });
  EXPECT_NE(content_digest(a), content_digest(b));
  for (const TensorDifference& tensor : compare_checkpoints(a, b)) {
    const bool touched = tensor.name == "l_user.weight";
    EXPECT_EQ(tensor.changed, touched ? 2 : 0) << tensor.name;
    EXPECT_EQ(tensor.largest, touched ? 3 : 0) << tensor.name;
  }
}

TEST(Compare, ANumberThatIsNoneIsNeverHiddenByALargerOne) {
  const ScratchFolder one("compare_one"), two("compare_two");
  const CheckpointInfo a = save_changed(one.path(), 1);
  const CheckpointInfo b = save_changed(two.path(), 1, [](TrainState& state) {
    add_to_row(state, 3, std::numeric_limits<double>::quiet_NaN());
    add_to_row(state, 9, 1e30);
  });
  const auto tensors = compare_checkpoints(a, b);
  const auto weight =
      std::find_if(tensors.begin(), tensors.end(), [](const auto& tensor) { return tensor.name == "l_user.weight"; });
  ASSERT_NE(weight, tensors.end());
  EXPECT_TRUE(std::isnan(weight->largest));
}

TEST(Compare, TensorsOfOnlyOneAndOtherShapesAreNamed) {
  const ScratchFolder one("compare_one"), two("compare_two");
  const CheckpointInfo a = save_changed(one.path(), 1);
  const CheckpointInfo b = save_changed(two.path(), 1, [](TrainState& state) {
    state.tensors[0].name = "renamed";
    state.tensors[1].rows = state.tensors[1].rows.to(at::kDouble);
  });
  std::map<std::string, std::string> found;
  for (const TensorDifference& tensor : compare_checkpoints(a, b)) {
    if (!tensor.other.empty()) found[tensor.name] = tensor.other;
  }
  EXPECT_EQ(found, (std::map<std::string, std::string>{{"l_user.weight", "only in the first"},
                                                       {"renamed", "only in the second"},
                                                       {"l_item.weight", "other dtype"}}));
}

TEST(Digest, DependsOnTheOrderOfRowsAndOnTheTensorThatHoldsThem) {
  const ScratchFolder one("digest_one"), two("digest_two"), three("digest_three");
  const uint64_t plain = content_digest(save_changed(one.path(), 1));
  EXPECT_NE(plain, content_digest(save_changed(two.path(), 1, [](TrainState& state) {
              state.tensors[0].rows = state.tensors[0].rows.flip(0).contiguous();
            })));
  EXPECT_NE(plain,
            content_digest(save_changed(three.path(), 1, [](TrainState& state) { state.tensors[0].name = "other"; })));
}

}  // namespace
}  // namespace cllm::testing
