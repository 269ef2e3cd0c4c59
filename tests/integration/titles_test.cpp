// titles through the commands that every model has.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>
#include <set>
#include <sstream>

#include "tests/integration/program.h"

namespace cllm::testing {
namespace {

namespace titles_runs {

namespace fs = std::filesystem;
using ::testing::HasSubstr;

std::string arguments(const fs::path& dir, const std::string& more = "") {
  return "train --model.name=titles --run.dir=" + dir.string() + " --run.corpus=" + small_world().corpus.string() +
         " --run.backbone=" + small_world().backbone.string() +
         " --titles.max_titles=3 --titles.max_tokens=8 --titles.batch_users=40 --titles.epochs=2 "
         "--titles.learning_rate=0.01 --titles.warmup_steps=1 --titles.beams=5 --teacher.model=ease --teacher.beta=0.3 "
         "--evaluation.metrics='[\"hit@5\",\"ndcg@5\"]' --evaluation.select=ndcg@5 --log.every_steps=1 "
         "--run.precision=fp64 " +
         more;
}

TEST(TitlesRun, TrainsOnAnyNumberOfRanksGoesOnAndListsTitlesOfTheCorpus) {
  const fs::path one = fresh_dir("titles_1"), two = fresh_dir("titles_2"), stopped = fresh_dir("titles_stopped");
  const Finished alone = run(cllm4rec(1, arguments(one)));
  ASSERT_EQ(alone.code, 0) << alone.output;
  EXPECT_THAT(alone.output, HasSubstr("different ones of 50 items"));
  const Finished both = run(cllm4rec(2, arguments(two)));
  ASSERT_EQ(both.code, 0) << both.output;
  const auto losses = losses_of(one), same = losses_of(two);
  ASSERT_EQ(losses.size(), same.size());
  for (size_t n = 0; n < losses.size(); ++n) EXPECT_NEAR(losses[n], same[n], 1e-6 * losses[n]);

  EXPECT_EQ(run(cllm4rec(1, arguments(stopped, "--allow-failpoints --failpoint=step.after_record:usr1@3"))).code, 75);
  const Finished whole = run(cllm4rec(1, arguments(stopped)));
  ASSERT_EQ(whole.code, 0) << whole.output;
  EXPECT_EQ(fingerprint(stopped), fingerprint(one));

  const Finished lists = run(cllm4rec(1, "recommend " + two.string() + " --k 5 -o -"));
  ASSERT_EQ(lists.code, 0) << lists.output;
  std::istringstream lines(lists.output);
  int64_t users = 0, full = 0;
  for (std::string line; std::getline(lines, line);) {
    if (!line.starts_with("{\"user\"")) continue;
    ++users;
    const auto items = nlohmann::json::parse(line).at("items");
    std::set<std::string> distinct;
    for (const auto& item : items) distinct.insert(item.at("item").get<std::string>());
    EXPECT_EQ(distinct.size(), items.size());
    full += items.size() == 5 ? 1 : 0;
  }
  EXPECT_EQ(users, 120);
  EXPECT_EQ(full, 118);  // two users have 48 and all of the 50 items
  // An item that came later is listed by its title.
  const fs::path later = small_world().root / "later.csv", only = small_world().root / "later.txt";
  std::ofstream(later) << "item,text\nlater-1,a title of its own\n";
  std::ofstream(only) << "later-1\n";
  const Finished added = run(cllm4rec(
      1, "recommend " + one.string() + " --k 5 -o - --add-items " + later.string() + " --only-items " + only.string()));
  ASSERT_EQ(added.code, 0) << added.output;
  EXPECT_THAT(added.output, HasSubstr("later-1"));
  const Finished measured = run(cllm4rec(2, "evaluate " + one.string()));
  EXPECT_EQ(measured.code, 0) << measured.output;
}

TEST(TitlesRun, WhatDoesNotGoTogetherIsRefusedInOneLine) {
  const fs::path dir = fresh_dir("titles_refused");
  for (const auto& [more, line] : std::vector<std::pair<std::string, std::string>>{
           {"--run.backbone=none", "nothing else writes titles"},
           {"--run.train_backbone=true", "adapters stand beside a frozen backbone"},
           {"--titles.kind=plot", "titles.kind = \"plot\""},
           {"--titles.end='not one'", "name one token"},
           {"--titles.max_tokens=100", "do not fit into the backbone's 128 positions"},
           {"--teacher.alpha=2", "teacher.alpha"},
           {"--backbone.adapters.modules='[\"q_proj\"]'", "q_proj"}}) {
    const Finished finished = run(cllm4rec(1, arguments(dir, more)));
    EXPECT_TRUE(finished.code == 64 || finished.code == 65) << finished.output;
    EXPECT_THAT(finished.output, HasSubstr(line));
  }
}

}  // namespace titles_runs

}  // namespace
}  // namespace cllm::testing
