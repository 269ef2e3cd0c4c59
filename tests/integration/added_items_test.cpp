// recommend --add-items: what is said of texts that are not those of new items alone.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>

#include "data/corpus/corpus.h"
#include "tests/integration/program.h"

namespace cllm::testing {
namespace {
namespace added_items {

namespace fs = std::filesystem;
using ::testing::HasSubstr;

/// The scores of an item in all users' lists, and what was printed.
struct Scores {
  std::map<std::string, double> by_user;
  std::string printed;
};

Scores scores_of(const std::string& item, const fs::path& run_dir, const std::string& table) {
  const fs::path added = small_world().root / "added.tsv", lists = small_world().root / "added.jsonl";
  std::ofstream(added) << "item\ttext\n" << table;
  const Finished finished = run(cllm4rec(1, "recommend " + run_dir.string() + " --k 60 --overwrite -o " +
                                                lists.string() + " --add-items " + added.string()));
  EXPECT_EQ(finished.code, 0) << finished.output;
  Scores out{{}, finished.output};
  std::ifstream in(lists);
  for (std::string line; std::getline(in, line);) {
    const auto list = nlohmann::json::parse(line);
    for (const auto& one : list.at("items"))
      if (one.at("item") == item) out.by_user[list.at("user")] = one.at("score");
  }
  return out;
}

TEST(AddedItems, ATextOfAKnownItemMovesItsRowAndThatIsSaid) {
  const fs::path dir = fresh_dir("texts_of_known_items");
  const Finished trained = run(cllm4rec(
      1, "train --run.dir=" + dir.string() + " --run.corpus=" + small_world().corpus.string() +
             " --run.backbone=" + small_world().backbone.string() +
             " --prompts.user_token=off --warmup.epochs=0 --mutual.epochs=1 --finetune.epochs=0 --loss.lambda=0"
             " --mutual.content_epochs=false --optimizer.name=lazy_adam --rows.text.source=tf-idf --rows.text.dims=4"
             " --log.report=false --log.tensorboard=false"));
  ASSERT_EQ(trained.code, 0) << trained.output;
  std::ifstream items(small_world().root / "data" / "items.tsv");
  std::string first, second;  // rows of items
  std::getline(items, first);
  std::getline(items, first);
  std::getline(items, second);
  const std::string known = first.substr(0, first.find('\t')),
                    fresh = "arrival" + second.substr(second.find('\t')) + "\n";

  const Scores without = scores_of(known, dir, fresh);
  const Scores with = scores_of(known, dir, fresh + known + second.substr(second.find('\t')) + "\n");
  EXPECT_THAT(with.printed, HasSubstr("1 texts are of items that the corpus has: their rows move, as on a corpus with "
                                      "these texts"));
  EXPECT_THAT(without.printed, ::testing::Not(HasSubstr("of items that the corpus has")));
  double moved = 0;
  for (const auto& [user, score] : without.by_user) moved += std::abs(score - with.by_user.at(user));
  ASSERT_FALSE(without.by_user.empty());
  EXPECT_GT(moved / static_cast<double>(without.by_user.size()), 1e-4);
}

}  // namespace added_items
}  // namespace
}  // namespace cllm::testing
