// A run goes on from a checkpoint of before tables counted the steps of their rows, where its optimiser does not need
// the counts.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <ATen/ops/empty.h>

#include "checkpoints/checkpoint.h"
#include "checkpoints/directory.h"
#include "checkpoints/format/dtype.h"
#include "tests/integration/program.h"
#include "tests/support/thread_world.h"

namespace cllm::testing {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;

Finished train_with(const fs::path& dir, const std::string& optimizer, const std::string& more = "") {
  const SmallWorld& world = small_world();
  return run(cllm4rec(1, "train --run.dir=" + dir.string() + " --run.corpus=" + world.corpus.string() +
                             " --run.backbone=" + world.backbone.string() + " --optimizer.name=" + optimizer +
                             " --loss.lambda=0.1 --warmup.epochs=1 --mutual.epochs=1 --finetune.epochs=1"
                             " --log.report=false --log.tensorboard=false " +
                             more));
}

/// Stops a run in the middle and writes its checkpoint anew without the counts.
fs::path old_run(const std::string& optimizer) {
  const fs::path dir = small_world().root / ("old_" + optimizer);
  fs::remove_all(dir);
  EXPECT_EQ(train_with(dir, optimizer, "--allow-failpoints --failpoint=step.after_record:usr1@15").code, 75);
  const fs::path parent = dir / "checkpoints";
  run_ranks(1, [&](Communicator& comm) {
    const auto latest = find_latest(comm, parent, nullptr);
    TrainState state;
    for (const TensorEntry& tensor : latest->manifest->tensors) {
      if (tensor.name.ends_with(".row_step")) continue;
      state.tensors.push_back(
          {tensor.name, tensor.shape[0], 0, at::empty(tensor.shape, find_dtype(tensor.dtype)->type)});
    }
    load(comm, *latest, state);
    save(comm, parent, latest->step, state);
  });
  return dir;
}

TEST(OldCheckpoint, WithoutRowCountsIsReadableWhereNobodyNeedsThem) {
  for (const std::string optimizer : {"lazy_adam", "sgd"}) {
    const fs::path dir = old_run(optimizer), whole = small_world().root / ("whole_" + optimizer);
    const Finished finished = train_with(dir, optimizer);
    EXPECT_EQ(finished.code, 0) << finished.output;
    EXPECT_THAT(finished.output, HasSubstr("resumed at step 15"));
    fs::remove_all(whole);
    EXPECT_EQ(train_with(whole, optimizer).code, 0);
    EXPECT_TRUE(read_file(dir / "metrics.jsonl") == read_file(whole / "metrics.jsonl")) << optimizer;
  }
}

TEST(OldCheckpoint, WithoutRowCountsIsRefusedForAdamInOneLine) {
  const Finished refused = train_with(old_run("adam"), "adam");
  EXPECT_EQ(refused.code, 66) << refused.output;
  EXPECT_THAT(refused.output, HasSubstr("row_step\": expected int32"));
}

}  // namespace
}  // namespace cllm::testing
