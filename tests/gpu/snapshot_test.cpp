#include <gtest/gtest.h>

#include "checkpoints/writer.h"
#include "tests/gpu/test_device.h"
#include "tests/support/checkpoint_state.h"
#include "tests/support/thread_world.h"

// Checkpoints of a device's tensors, copied while the device goes on. The fake device copies as late as it may.

namespace cllm::testing {
namespace {

using test::to_device;

TrainState on_device(TrainState state) {
  for (ShardedTensor& tensor : state.tensors) tensor.rows = to_device(tensor.rows);
  for (ReplicatedTensor& tensor : state.replicated) tensor.value = to_device(tensor.value);
  return state;
}

void change(const TrainState& state) {
  for (const ShardedTensor& tensor : state.tensors) tensor.rows.zero_();
  for (const ReplicatedTensor& tensor : state.replicated) tensor.value.zero_();
}

TEST(Snapshot, HoldsTheStateOfTheMomentThoughItChangesWhileItIsWritten) {
  const ScratchFolder folder("device_snapshot");
  run_ranks(1, [&](Communicator& comm) {
    prepare(comm, folder.path());
    CheckpointWriter writer(comm, folder.path(), {});
    for (const int64_t step : {1, 2, 3}) {  // buffers are used again
      const TrainState state = on_device(make_state(step, 0, 1));
      writer.start(step, state);
      writer.before_change();
      change(state);
    }
    writer.finish();
    expect_loads(comm, *find_latest(comm, folder.path(), nullptr));
  });
}

TEST(Snapshot, TensorsMayGoWhileTheyAreCopied) {
  const ScratchFolder folder("device_snapshot");
  run_ranks(1, [&](Communicator& comm) {
    prepare(comm, folder.path());
    CheckpointWriter writer(comm, folder.path(), {});
    writer.start(5, on_device(make_state(5, 0, 1)));
    EXPECT_EQ(writer.finish()->step, 5);
    expect_loads(comm, *find_latest(comm, folder.path(), nullptr));
  });
}

TEST(Snapshot, TheFakeDeviceShowsAChangeThatDoesNotWait) {
  if (test::kOnGpu) GTEST_SKIP() << "a GPU may be quick";
  const ScratchFolder folder("device_snapshot");
  run_ranks(1, [&](Communicator& comm) {
    prepare(comm, folder.path());
    CheckpointWriter writer(comm, folder.path(), {});
    const TrainState state = on_device(make_state(1, 0, 1));
    writer.start(1, state);
    change(state);
    TrainState loaded = make_state(2, 0, 1);
    load(comm, *writer.finish(), loaded);
    for (const ShardedTensor& tensor : loaded.tensors)
      EXPECT_FALSE(tensor.rows.to(at::kDouble).ne(0).any().item<bool>()) << tensor.name;
  });
}

}  // namespace
}  // namespace cllm::testing
