// What becomes of long runs: signals anywhere, time limits, hangs, crash loops, numbers that are none, failed saves.
// Faults come from named failpoints, so that they happen where the test says.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>
#include <sstream>

#include "tests/integration/program.h"

namespace cllm::testing {
namespace {

namespace fs = std::filesystem;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

constexpr int kRanks = 2;

/// Some 45 steps in all three stages, with dropout, a checkpoint every 4 steps and three validations.
Finished train(const fs::path& dir, const std::string& more = "") {
  const SmallWorld& world = small_world();
  return run(
      "timeout -s KILL 120 env " +
      cllm4rec(kRanks,
               "train --run.dir=" + dir.string() + " --run.corpus=" + world.corpus.string() +
                   " --run.backbone=" + world.backbone.string() +
                   " --loss.lambda=0.1 --warmup.epochs=1 --mutual.epochs=1 --finetune.epochs=1"
                   " --checkpoint.every_steps=4 --log.every_steps=1 --log.report=false --log.tensorboard=false " +
                   more));
}

std::string fail_at(const std::string& failpoint) { return " --allow-failpoints --failpoint=" + failpoint; }

/// The same run, never disturbed.
const std::string& undisturbed() {
  static const std::string whole = [] {
    const fs::path dir = fresh_dir("undisturbed");
    const Finished finished = train(dir);
    EXPECT_EQ(finished.code, 0) << finished.output;
    return fingerprint(dir);
  }();
  return whole;
}

TEST(LongRun, ASignalToOneRankAnywhereSavesExits75AndLosesNothing) {
  const fs::path dir = fresh_dir("signals");
  for (const char* place :
       {"start.opened:usr1#1", "load.after_read:term#1", "step.after_compute:usr1@3#1", "save.before_rename:term#0",
        "save.before_sync_shard:usr1#1", "segment.before_finish:term#0", "validation.batch:usr1#1",
        "validation.batch:term@2#0", "end.before_save:usr1#1", "end.before_test:term#1"}) {
    const Finished stopped = train(
        dir, fail_at(place) + (std::string(place).starts_with("save") ? fail_at("step.after_record:usr1@2#1") : ""));
    EXPECT_EQ(stopped.code, 75) << place << "\n" << stopped.output;
    EXPECT_EQ(run(cllm4rec(1, "checkpoint verify " + dir.string())).code, 0) << place;
  }
  const Finished last = train(dir);
  EXPECT_EQ(last.code, 0) << last.output;
  EXPECT_TRUE(fingerprint(dir) == undisturbed());
}

TEST(LongRun, AKillAtAnyStageOfASaveLosesNothing) {
  const fs::path dir = fresh_dir("save_kills");
  for (const char* place : {"save.while_writing@2", "save.before_manifest", "save.before_rename@2", "save.after_rename",
                            "save.before_pin", "save.while_removing", "validation.after", "end.before_test"}) {
    const std::string name(place);
    const size_t at = name.find('@');
    const std::string count = at == std::string::npos ? "" : name.substr(at);
    const Finished killed = train(dir, "--run.max_restarts=0" + fail_at(name.substr(0, at) + ":kill" + count + "#0"));
    EXPECT_EQ(killed.code, 137) << place << "\n" << killed.output;
  }
  const Finished last = train(dir);
  EXPECT_EQ(last.code, 0) << last.output;
  EXPECT_TRUE(fingerprint(dir) == undisturbed());
}

TEST(LongRun, IncrementalSavesLoseNothingEither) {
  const fs::path dir = fresh_dir("incremental");
  const std::string incremental = "--checkpoint.whole_every=3 --checkpoint.every_steps=1 --run.max_restarts=0";
  for (const char* place : {"step.after_record:kill@7#1", "save.before_rename:kill@6#0", "save.before_link:kill@3#0",
                            "validation.batch:usr1#1", "save.after_rename:kill@5#0"}) {
    const Finished stopped = train(dir, incremental + fail_at(place));
    EXPECT_TRUE(stopped.code == 137 || stopped.code == 75) << place << "\n" << stopped.output;
    EXPECT_EQ(run(cllm4rec(1, "checkpoint verify " + dir.string())).code, 0) << place;
  }
  EXPECT_THAT(run(cllm4rec(1, "checkpoint show " + dir.string())).output, HasSubstr("changes-00001-of-00002.h5"));
  const Finished last = train(dir, incremental);
  EXPECT_EQ(last.code, 0) << last.output;
  EXPECT_TRUE(fingerprint(dir) == undisturbed());
}

TEST(LongRun, EveryFailpointIsPassed) {
  const fs::path dir = fresh_dir("all_failpoints");
  std::string output =
      train(dir, "--checkpoint.whole_every=2" + fail_at("all:log") + " --failpoint=step.after_record:usr1@30").output;
  output += train(dir, fail_at("all:log")).output;
  std::istringstream names(run(cllm4rec(1, "train --list-failpoints")).output);
  int count = 0;
  for (std::string name; std::getline(names, name); ++count)
    EXPECT_THAT(output, HasSubstr("failpoint " + name + " passed"));
  EXPECT_GE(count, 25);
}

TEST(LongRun, FailpointsAreRefusedUnlessAllowed) {
  const Finished refused = train(fresh_dir("refused"), "--failpoint=step.after_compute:kill");
  EXPECT_EQ(refused.code, 64) << refused.output;
  EXPECT_THAT(refused.output, HasSubstr("--allow-failpoints"));
}

TEST(LongRun, AStoppedRankIsNamedByTheOthersWhichExitWith71) {
  const Finished hung = train(
      fresh_dir("stopped"), "--run.deadline_s=8 --checkpoint.every_steps=0" + fail_at("step.before_compute:stop@6#1"));
  EXPECT_EQ(hung.code, 71) << hung.output;
  EXPECT_THAT(hung.output, AllOf(HasSubstr("deadline of 8.0 s passed: rank 0 is in step 6, training step"),
                                 HasSubstr("rank 1 is missing: no heartbeat any more; last seen in step"),
                                 HasSubstr("on \"world\"")));
}

TEST(LongRun, WaitsInBothLevelsOfAnExchangeAreWatched) {
  const Finished hung =
      train(fresh_dir("stopped_in_levels"), "--run.ranks_per_node=1 --run.deadline_s=5 --checkpoint.every_steps=0" +
                                                fail_at("step.before_compute:stop@6#1"));
  EXPECT_EQ(hung.code, 71) << hung.output;
  EXPECT_THAT(hung.output, AllOf(HasSubstr("training step, all_to_all on \"rail\" for "),
                                 HasSubstr("all_to_all on \"node\", 8 bytes")));
}

TEST(LongRun, ARankThatStopsAfterTheLastStepEndsTheRunTooAndTheResultIsThere) {
  const fs::path dir = fresh_dir("stopped_at_the_end");
  const Finished hung = train(dir, "--run.deadline_s=8" + fail_at("end.after_test:stop#1"));
  EXPECT_EQ(hung.code, 71) << hung.output;
  EXPECT_THAT(hung.output, AllOf(HasSubstr("end of the run"), HasSubstr("rank 1 is missing")));
  EXPECT_TRUE(fs::exists(dir / "result.json"));
  const Finished again = train(dir);
  EXPECT_EQ(again.code, 0) << again.output;
  EXPECT_TRUE(fingerprint(dir) == undisturbed());
}

TEST(LongRun, ARankThatHangsInItsOwnWorkIsNamedAsBehind) {
  const Finished hung = train(fresh_dir("behind"), "--run.deadline_s=8 --checkpoint.every_steps=0" +
                                                       fail_at("step.before_compute:delay100000@6#1"));
  EXPECT_EQ(hung.code, 71) << hung.output;
  EXPECT_THAT(hung.output,
              AllOf(HasSubstr("rank 0 is in step 6"), HasSubstr("rank 1 is in step 6, training step, computing"),
                    HasSubstr("rank 1 is behind")));
}

TEST(LongRun, AHungSaveEndsTheRunToo) {
  const Finished hung =
      train(fresh_dir("hung_save"), "--run.save_deadline_s=8" + fail_at("save.before_sync_shard:delay100000#1"));
  EXPECT_EQ(hung.code, 71) << hung.output;
  EXPECT_THAT(hung.output, HasSubstr("save, computing"));
}

TEST(LongRun, StopsItselfBeforeATimeLimit) {
  const fs::path dir = fresh_dir("limit");
  const Finished stopped = train(dir, "--max-seconds 12 --finetune.epochs=100000");
  EXPECT_EQ(stopped.code, 75) << stopped.output;
  EXPECT_THAT(stopped.output, HasSubstr("the time limit is near: saving after step"));
  const Finished slurm =
      run("SLURM_JOB_END_TIME=$(( $(date +%s) + 10 )) timeout -s KILL 120 env " +
          cllm4rec(1, "train --run.dir=" + dir.string() + " --stop-before SLURM_JOB_END --run.corpus=" +
                          small_world().corpus.string() + " --run.backbone=" + small_world().backbone.string() +
                          " --loss.lambda=0.1 --warmup.epochs=1 --mutual.epochs=1"
                          " --finetune.epochs=100000"));
  EXPECT_EQ(slurm.code, 75) << slurm.output;
}

TEST(LongRun, ACrashLoopEndsWith78BeforeTraining) {
  const fs::path dir = fresh_dir("loop");
  for (int start = 0; start < 3; ++start)
    EXPECT_EQ(train(dir, fail_at("step.before_compute:kill@2#1")).code, 137) << start;
  const Finished refused = train(dir);
  EXPECT_EQ(refused.code, 78) << refused.output;
  EXPECT_THAT(refused.output, AllOf(HasSubstr("no progress: started 3 times"), HasSubstr("run.max_restarts=0"),
                                    Not(HasSubstr("resumed"))));
  EXPECT_EQ(train(dir, "--run.max_restarts=0").code, 0);
}

TEST(LongRun, AValueThatIsNotFiniteStopsAllRanksAndIsNeverCommitted) {
  // Step 14 is an L-step, whose softmax sees every item: the step itself notices. Step 6 is a C-step, which does not
  // read that row: the save notices.
  const std::pair<std::string, std::string> cases[] = {{"14", "step 14: table rows of rank 1: a value is not finite"},
                                                       {"6", "rank 1: tensor \"l_item.weight\""}};
  for (const auto& [step, says] : cases) {
    const fs::path dir = fresh_dir("nan");
    const Finished stopped =
        train(dir, "--checkpoint.every_steps=1" + fail_at("step.before_compute:nan@" + step + "#1"));
    EXPECT_EQ(stopped.code, step == "14" ? 64 : 74) << stopped.output;
    EXPECT_THAT(stopped.output, AllOf(HasSubstr(says), HasSubstr("not finite")));
    const std::string last = "step-00000000" + std::string(step == "14" ? "13" : "05");
    EXPECT_FALSE(fs::exists(dir / "checkpoints" / ("step-00000000" + std::string(step == "14" ? "14" : "06"))));
    const Finished difference =
        run(cllm4rec(1, "checkpoint diff " + (dir / "checkpoints" / last).string() + " " + dir.string()));
    EXPECT_EQ(difference.code, 0) << difference.output;  // the newest one is that of the step before
    EXPECT_THAT(difference.output, Not(HasSubstr("nan"))) << difference.output;
  }
}

TEST(LongRun, AFailedBackgroundSaveEndsAllRanksAtTheNextStepAndTheOldCheckpointIsThere) {
  const fs::path dir = fresh_dir("failed_save");
  const Finished failed = train(dir, fail_at("save.before_sync_shard:fail@2#1"));
  EXPECT_EQ(failed.code, 74) << failed.output;
  EXPECT_THAT(failed.output, HasSubstr("rank 1: failpoint save.before_sync_shard: Input/output error"));
  EXPECT_EQ(run(cllm4rec(1, "checkpoint verify " + (dir / "checkpoints" / "step-0000000004").string())).code, 0);
}

TEST(LongRun, ASlowRankIsNamed) {
  const Finished slow = train(fresh_dir("slow"), fail_at("step.before_compute:delay400@1+#1"));
  EXPECT_EQ(slow.code, 0) << slow.output;
  EXPECT_THAT(slow.output, HasSubstr("rank 1 is slow: "));
  EXPECT_THAT(slow.output, Not(HasSubstr("rank 0 is slow: ")));
}

TEST(LongRun, AReshardedCheckpointIsTheSameState) {
  const fs::path dir = fresh_dir("to_reshard"), other = fresh_dir("resharded");
  ASSERT_EQ(train(dir).code, 0);
  const Finished made = run(cllm4rec(1, "checkpoint reshard " + dir.string() + " " + other.string() + " --ranks 5"));
  EXPECT_EQ(made.code, 0) << made.output;
  const Finished same = run(cllm4rec(1, "checkpoint diff " + dir.string() + " " + other.string()));
  EXPECT_EQ(same.code, 0) << same.output;
}

}  // namespace
}  // namespace cllm::testing
