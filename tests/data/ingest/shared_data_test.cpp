// The three data sets next to the project, with the counts that their README states.

#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <sstream>

#include "tests/data/ingest/scratch.h"

namespace cllm::testing {
namespace {

struct DataSet {
  std::string name;
  int64_t users, items, interactions, texts;
  uint64_t held_out_texts;
};

std::filesystem::path shared() {
  const char* path = std::getenv("CLLM_SHARED");
  return path != nullptr ? std::filesystem::path(path) : std::filesystem::path(CLLM_SOURCE_DIR) / ".." / "shared";
}

class SharedData : public ::testing::TestWithParam<DataSet> {};

TEST_P(SharedData, enters_the_corpus_completely_and_with_its_split) {
  const DataSet& set = GetParam();
  const std::filesystem::path input = shared() / "data" / set.name;
  ASSERT_TRUE(std::filesystem::exists(input))
      << input << " is missing; set CLLM_SHARED to the folder with the shared data";
  const Scratch scratch;
  PrepareOptions options = scratch.options();
  options.input = input;
  options.split = SplitMethod::kFile;
  options.split_file = input / "splits" / "random_80_10_10.tsv";
  options.train_tokenizer = 0;
  options.tokenizer = shared() / "backbones" / "gpt2-mini-8k";
  const PrepareReport report = prepare(options);
  EXPECT_EQ(report.bad_rows.size(), 0u);
  EXPECT_EQ(report.held_out_texts, set.held_out_texts);
  const Corpus corpus = Corpus::open(options.output, true);
  EXPECT_EQ(corpus.vocabulary().num_users, set.users);
  EXPECT_EQ(corpus.vocabulary().num_items, set.items);
  EXPECT_EQ(corpus.vocabulary().num_words, 8192);
  EXPECT_EQ(corpus.num_texts(), set.texts);

  std::set<std::string> expected[kNumParts];
  std::ifstream split(options.split_file);
  std::string line, user, item, part;
  std::getline(split, line);
  while (split >> user >> item >> part) expected[part == "train" ? 0 : part == "val" ? 1 : 2].insert(user + " " + item);
  int64_t total = 0;
  for (int n = 0; n < kNumParts; ++n) {
    EXPECT_EQ(pairs_of(corpus, static_cast<Part>(n)), expected[n]);
    EXPECT_EQ(corpus.num_interactions(static_cast<Part>(n)), static_cast<int64_t>(expected[n].size()));
    total += corpus.num_interactions(static_cast<Part>(n));
  }
  EXPECT_EQ(total, set.interactions);
}

INSTANTIATE_TEST_SUITE_P(all, SharedData,
                         ::testing::Values(DataSet{"ml_latest_small_5core", 691, 1911, 41393, 1911, 0},
                                           DataSet{"amazon_beauty", 22363, 12101, 198502, 12101, 0},
                                           DataSet{"google_xrec_profiles", 2479, 2531, 18178, 2479 + 2531 + 2058, 942}),
                         [](const auto& set) { return set.param.name; });

}  // namespace
}  // namespace cllm::testing
