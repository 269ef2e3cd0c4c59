// What a user sees of training: the same run on any number of ranks, bitwise repeatable, resumable after any kill,
// stoppable by signals.

#include <gtest/gtest.h>

#include <cmath>
#include <set>
#include <sstream>

#include "tests/integration/program.h"

namespace cllm::testing {
namespace {

namespace fs = std::filesystem;

/// A run of all three stages, about 90 steps.
std::string train_arguments(const fs::path& dir, const std::string& more = "") {
  const SmallWorld& world = small_world();
  return "train --run.dir=" + dir.string() + " --run.corpus=" + world.corpus.string() +
         " --run.backbone=" + world.backbone.string() +
         " --loss.lambda=0.1 --warmup.epochs=1 --mutual.epochs=2 --finetune.epochs=2 --dropout.embedding=0 "
         "--dropout.attention=0"
         " --dropout.residual=0 --log.every_steps=1 " +
         more;
}

std::vector<double> train_losses(int ranks, const std::string& name, const std::string& more) {
  const fs::path dir = fresh_dir(name);
  const Finished finished = run(cllm4rec(ranks, train_arguments(dir, more)));
  EXPECT_EQ(finished.code, 0) << finished.output;
  return losses_of(dir);
}

/// `more` begins with the precision.
void expect_same_run_on_all_world_sizes(const std::string& more, double tolerance) {
  const auto one = train_losses(1, "world_1", "--run.precision=" + more);
  ASSERT_GE(one.size(), 50u);
  for (const int ranks : {2, 3, 4}) {
    const auto several = train_losses(ranks, "world_" + std::to_string(ranks), "--run.precision=" + more);
    ASSERT_EQ(several.size(), one.size()) << ranks << " ranks";
    for (size_t n = 0; n < one.size() && n < 100; ++n) {
      ASSERT_NEAR(several[n], one[n], tolerance * std::abs(one[n])) << ranks << " ranks, step " << n + 1;
    }
  }
}

TEST(Train, OneTwoThreeAndFourRanksComputeTheSameRunInFp64) {
  expect_same_run_on_all_world_sizes("fp64 --backbone.adapters.rank=2 --backbone.adapters.learning_rate=1e-2", 1e-9);
}

TEST(Train, OneTwoThreeAndFourRanksComputeTheSameRunInFp32) { expect_same_run_on_all_world_sizes("fp32", 1e-4); }

TEST(Train, RowsThatTravelInTwoLevelsGiveTheLossesOfOneLevel) {
  const std::string more = "--run.precision=fp64 --mutual.epochs=1 --finetune.epochs=1 ";
  const auto one = train_losses(4, "one_level", more),
             two = train_losses(4, "two_levels", more + "--run.ranks_per_node=2");
  ASSERT_GE(one.size(), 30u);
  ASSERT_EQ(one.size(), two.size());
  for (size_t n = 0; n < one.size(); ++n) ASSERT_NEAR(two[n], one[n], 1e-9 * std::abs(one[n])) << "step " << n + 1;
  const fs::path dir = small_world().root / "two_levels";
  const Finished alone = run(cllm4rec(1, "evaluate " + dir.string()));  // whose ranks are not those of the training
  EXPECT_EQ(alone.code, 0) << alone.output;
}

TEST(Train, TheSameSeedAndWorldSizeTwiceIsBitwiseEqualWithDropout) {
  const std::string dropout = "--dropout.embedding=0.1 --dropout.attention=0.1 --dropout.residual=0.1";
  EXPECT_EQ(train_losses(2, "twice_a", dropout), train_losses(2, "twice_b", dropout));
}

TEST(Train, AutoEstimatesTheItemSoftmaxOfTheStepsWhoseItemsCostMost) {
  const fs::path root = fresh_dir("many_items"), data = root / "data", corpus = root / "corpus";
  for (const std::string& arguments : {"demo-data " + data.string() + " --users 60 --items 1200",
                                       "prepare --input " + data.string() + " --output " + corpus.string() +
                                           " --tokenizer " + (small_world().corpus / "tokenizer").string()}) {
    const Finished finished = run(cllm4rec(1, arguments));
    ASSERT_EQ(finished.code, 0) << finished.output;
  }
  std::vector<double> losses[2];
  for (const int ranks : {1, 2}) {
    const fs::path dir = root / ("run_" + std::to_string(ranks));
    const Finished finished =
        run(cllm4rec(ranks, train_arguments(dir, "--run.corpus=" + corpus.string() +
                                                     " --optimizer.negatives=16 --run.precision=fp64 --batch.groups=60 "
                                                     "--warmup.epochs=0 --mutual.epochs=1 --finetune.epochs=1")));
    EXPECT_EQ(finished.code, 0) << finished.output;
    EXPECT_NE(finished.output.find("softmax    L from 16 negatives (over all items: "), std::string::npos)
        << finished.output;
    EXPECT_NE(finished.output.find("; F over all items (0."), std::string::npos) << finished.output;
    losses[ranks - 1] = losses_of(dir);
  }
  ASSERT_EQ(losses[0].size(), losses[1].size());
  for (size_t n = 0; n < losses[0].size(); ++n)
    ASSERT_NEAR(losses[1][n], losses[0][n], 1e-9 * losses[0][n]) << "step " << n + 1;
}

/// Runs a command of several ranks and kills one of them once `file` has so many lines. Returns the exit code, 0 if it
/// finished before.
int kill_a_rank_at_line(const std::string& command, const fs::path& file, int lines) {
  return run(command + " & job=$!; while kill -0 $job 2>/dev/null && [ $(cat " + file.string() +
             " 2>/dev/null | wc -l) -lt " + std::to_string(lines) +
             " ]; do sleep 0.01; done; kill -KILL $(pgrep -P $job | head -n 1) 2>/dev/null; wait $job")
      .code;
}

/// Number of samples in a log of log.samples; none may come twice.
size_t distinct_samples(const fs::path& log) {
  std::istringstream lines(read_file(log));
  std::set<std::string> known;
  int64_t steps = 0;
  for (std::string line; std::getline(lines, line);) {
    std::istringstream words(line);
    std::string key;
    words >> key;
    EXPECT_EQ(key, std::to_string(++steps));
    while (words >> key)
      EXPECT_TRUE(known.insert(key).second) << "step " << steps << " takes sample " << key << " again";
  }
  return known.size();
}

TEST(Train, ARunWhoseRanksWereKilledEndsBitwiseEqualToOneThatNeverStopped) {
  const std::string more =
      "--checkpoint.every_steps=7 --mutual.epochs=30 --log.samples=true";  // some 600 steps: no run ends before it is
                                                                           // killed
  const fs::path whole = fresh_dir("whole"), killed = fresh_dir("killed");
  ASSERT_EQ(run(cllm4rec(2, train_arguments(whole, more))).code, 0);
  for (const int lines : {1, 40, 130, 220, 310}) {  // at the start, between checkpoints, in two stages
    EXPECT_NE(kill_a_rank_at_line(cllm4rec(2, train_arguments(killed, more)), killed / "metrics.jsonl", lines), 0)
        << lines << " lines";
  }
  const Finished last = run(cllm4rec(2, train_arguments(killed, more)));
  ASSERT_EQ(last.code, 0) << last.output;
  EXPECT_TRUE(fingerprint(whole) == fingerprint(killed));
  EXPECT_TRUE(read_file(whole / "samples.txt") == read_file(killed / "samples.txt"));
  const size_t users = 120, texts = 218;
  EXPECT_EQ(distinct_samples(killed / "samples.txt"),
            (1 + 30 + 2) * texts + (30 + 2) * users);  // every epoch of every stage, whole
}

TEST(Train, TablesInBf16AndAdaptersTrainAsWellAndSurviveAKill) {
  const std::string more =
      "--run.table_precision=bf16 --checkpoint.every_steps=7 --mutual.epochs=6 --optimizer.name=lazy_adam "
      "--backbone.adapters.rank=2 --backbone.adapters.dropout=0.1 ";
  const fs::path full = fresh_dir("table_full"), whole = fresh_dir("table_bf16"),
                 killed = fresh_dir("table_bf16_killed");
  ASSERT_EQ(run(cllm4rec(2, train_arguments(full, more + "--run.table_precision=full"))).code, 0);
  ASSERT_EQ(run(cllm4rec(2, train_arguments(whole, more))).code, 0);
  EXPECT_NE(kill_a_rank_at_line(cllm4rec(2, train_arguments(killed, more)), killed / "metrics.jsonl", 60), 0);
  ASSERT_EQ(run(cllm4rec(2, train_arguments(killed, more))).code, 0);
  EXPECT_TRUE(fingerprint(whole) == fingerprint(killed));
  const auto in_full = losses_of(full), in_bf16 = losses_of(whole);
  ASSERT_EQ(in_full.size(), in_bf16.size());
  EXPECT_NE(in_full, in_bf16);
  for (size_t n = 0; n < in_full.size(); ++n) EXPECT_NEAR(in_bf16[n] / in_full[n], 1, 0.02) << "step " << n + 1;
}

TEST(Train, ASignalSavesAndExitsWith75AndTheRunGoesOnFromThere) {
  const fs::path dir = fresh_dir("signal");
  const std::string command = cllm4rec(2, train_arguments(dir, "--finetune.epochs=200"));
  // The first metrics line shows that training is under way; only then is the signal sent.
  const Finished stopped = run(command + " & job=$!; for n in $(seq 600); do [ -s " + (dir / "metrics.jsonl").string() +
                               " ] && break; sleep 0.05; done; kill -USR1 $job; wait $job");
  EXPECT_EQ(stopped.code, 75) << stopped.output;
  const Finished resumed = run("timeout -s USR1 3 " + command.substr(command.find("mpirun")));
  EXPECT_NE(resumed.output.find("resumed at step"), std::string::npos) << resumed.output;
}

TEST(Train, AResumedRunMayHaveAnotherNumberOfRanks) {
  const fs::path dir = fresh_dir("resize");
  ASSERT_EQ(run(cllm4rec(3, train_arguments(dir, "--mutual.epochs=2"))).code, 0);
  const Finished again = run(cllm4rec(2, train_arguments(dir, "--mutual.epochs=2")));
  EXPECT_EQ(again.code, 0) << again.output;
  EXPECT_NE(again.output.find("resumed at step"), std::string::npos);
}

}  // namespace
}  // namespace cllm::testing
