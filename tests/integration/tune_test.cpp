// What a user sees of a search: trials that go on where they stopped, the same after any end of the process.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <sstream>

#include "tests/integration/program.h"

namespace cllm::testing {
namespace {

namespace tuning {

namespace fs = std::filesystem;
using ::testing::HasSubstr;

std::string tune_arguments(const fs::path& dir, const std::string& more = "") {
  return "tune --model.name=multi_vae --run.dir=" + dir.string() + " --run.corpus=" + small_world().corpus.string() +
         " --multi_vae.epochs=4 --tune.factor=2 --multi_vae.hidden=16 --multi_vae.latent=8 --multi_vae.batch_users=20 "
         "'--tune.space.multi_vae.learning_rate={min=1e-4, max=1e-2, log=true}' "
         "'--tune.space.multi_vae.dropout=[0.2, 0.5]' --trials 4 " +
         more;
}

/// trials.jsonl without its times.
std::string trials_of(const fs::path& dir) {
  return run("sed -E 's/\"(seconds|stopped_s)\":[^,}]*//' " + (dir / "trials.jsonl").string() + " | grep -v '^{}$'")
      .output;
}

size_t lines_of(const std::string& text) { return static_cast<size_t>(std::ranges::count(text, '\n')); }

TEST(Tune, AKilledSearchGoesOnToTheTrialsOfOneThatWasNot) {
  const fs::path whole = fresh_dir("tune_whole"), killed = fresh_dir("tune_killed");
  const Finished finished = run(cllm4rec(1, tune_arguments(whole, "--seeds 1")));
  ASSERT_EQ(finished.code, 0) << finished.output;
  const std::string trials = trials_of(whole);
  EXPECT_GE(lines_of(trials), 1u + 4 + 2 + 1 + 1) << trials;  // the search, rungs of 1, 2 and 4 epochs, a seed
  EXPECT_THAT(trials, HasSubstr("\"trial\":0,\"rung\":0"));
  EXPECT_THAT(trials, HasSubstr("\"epochs\":4,"));

  const std::string command = tune_arguments(killed, "--seeds 1");
  run(cllm4rec(1, command) + " & job=$!; while kill -0 $job 2>/dev/null && [ $(cat " +
      (killed / "trials.jsonl").string() +
      " 2>/dev/null | wc -l) -lt 4 ]; do sleep 0.01; done; kill -KILL $job; wait $job");
  EXPECT_LT(lines_of(trials_of(killed)), lines_of(trials));
  const Finished stopped = run("timeout --preserve-status -s TERM 0.7 env " + cllm4rec(1, command));
  EXPECT_TRUE(stopped.code == 75 || stopped.code == 0) << stopped.code << stopped.output;
  const Finished again = run(cllm4rec(1, command));
  ASSERT_EQ(again.code, 0) << again.output;
  EXPECT_THAT(again.output, HasSubstr("the search goes on"));
  EXPECT_EQ(trials_of(killed), trials);

  EXPECT_THAT(again.output, HasSubstr("| test recall@20 | "));
  EXPECT_EQ(run(cllm4rec(1, "train " + (killed / "best.toml").string())).code, 0);
  const Finished more = run(cllm4rec(1, tune_arguments(killed, "--seeds 1 --tune.seed=4")));
  EXPECT_EQ(more.code, 64);
  EXPECT_THAT(more.output, HasSubstr("holds another search (changed: tune.seed)"));
}

TEST(Tune, ClosedFormsAreTriedWholeAndOnlyTheBestKeepsItsState) {
  const fs::path dir = fresh_dir("tune_ease");
  const Finished finished = run(cllm4rec(2, "tune --model.name=ease --trials 4 --run.dir=" + dir.string() +
                                                " --run.corpus=" + small_world().corpus.string()));
  ASSERT_EQ(finished.code, 0) << finished.output;
  size_t kept = 0;
  for (const auto& trial : fs::directory_iterator(dir / "trials")) kept += fs::exists(trial.path() / "checkpoints");
  EXPECT_EQ(kept, 1u);
  EXPECT_THAT(read_file(dir / "trials.tsv"), HasSubstr("ease.lambda"));
  EXPECT_EQ(lines_of(read_file(dir / "trials.tsv")), 5u);
}

TEST(Tune, WhatCannotBeSearchedIsRefusedInOneLine) {
  const std::string corpus = " --run.corpus=" + small_world().corpus.string();
  for (const auto& [arguments, line] : std::vector<std::pair<std::string, std::string>>{
           {"tune --model.name=popularity" + corpus, "has nothing that is searched by itself"},
           {"tune --model.name=ease", "run.corpus is not set"},
           {"tune --model.name=ease --trials 0" + corpus, "tune.trials = 0: expected a number in range (1 to 1e+06)"},
           {"tune --model.name=ease '--tune.space.ease.lambda={min=3}'" + corpus, "expected a list of values"}}) {
    const Finished finished = run(cllm4rec(1, arguments));
    EXPECT_EQ(finished.code, 64) << finished.output;
    EXPECT_THAT(finished.output, HasSubstr(line));
    EXPECT_EQ(lines_of(finished.output), 1u) << finished.output;
  }
}

}  // namespace tuning

}  // namespace
}  // namespace cllm::testing
