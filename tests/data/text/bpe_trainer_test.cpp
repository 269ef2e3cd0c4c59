#include <gmock/gmock.h>

#include "data/text/id_tokens.h"
#include "data/text/tokenizer.h"
#include "tests/data/text/shared_files.h"

namespace cllm {
namespace {

using cllm::testing::shared;
using cllm::testing::TemporaryFolder;
using ::testing::ElementsAre;

TextSource source(const std::vector<std::string>& texts) {
  return [&texts, n = size_t{0}]() mutable -> std::optional<std::string_view> {
    if (n == texts.size()) return std::nullopt;
    return texts[n++];
  };
}

/// The item column of a data set.
std::vector<std::string> item_texts(const std::string& path) {
  std::ifstream file(shared(path));
  std::vector<std::string> texts;
  for (std::string line; std::getline(file, line);) texts.push_back(line.substr(line.find('\t') + 1));
  return texts;
}

TEST(BpeTraining, MergesTheMostFrequentPairFirstAndPutsTheEndMarkLast) {
  const std::vector<std::string> texts = {"abab abab", "abc", "cd cd"};  // ab 5 times, cd 1 + 1 (" cd"), ...
  const Tokenizer tokenizer = Tokenizer::train(source(texts), 258);
  EXPECT_EQ(tokenizer.size(), 258);
  EXPECT_EQ(tokenizer.decode(std::vector<int32_t>{256}), "ab");
  EXPECT_EQ(tokenizer.decode(std::vector<int32_t>{257}), "<|endoftext|>");
  EXPECT_THAT(tokenizer.encode("!abc"), ElementsAre(0, 256, 'c' - '!'));
}

TEST(BpeTraining, StopsWhenNoPairOccursTwice) {
  const std::vector<std::string> texts = {"abcdefgh"};
  EXPECT_EQ(Tokenizer::train(source(texts), 1000).size(), 257);
  EXPECT_THROW(Tokenizer::train(source(texts), 256), std::invalid_argument);
}

TEST(BpeTraining, TheOrderOfTextsDoesNotMatter) {
  std::vector<std::string> texts = item_texts("data/ml_latest_small_5core/items.tsv");
  const std::string fingerprint = Tokenizer::train(source(texts), 1500).fingerprint();
  std::reverse(texts.begin(), texts.end());
  EXPECT_EQ(Tokenizer::train(source(texts), 1500).fingerprint(), fingerprint);
}

TEST(BpeTraining, NeedsAsFewTokensAsTheHuggingFaceTrainer) {
  const std::vector<std::string> texts = item_texts("data/ml_latest_small_5core/items.tsv");
  const Tokenizer tokenizer = Tokenizer::train(source(texts), 1000);
  size_t tokens = 0;
  for (const std::string& text : texts) tokens += tokenizer.encode(text).size();
  EXPECT_LE(tokens, 42149u);  // tokenizers 0.23.3, BpeTrainer(vocab_size=1000) on the same lines
}

TEST(Export, HoldsEveryIdWordWithItsTokenId) {
  TemporaryFolder folder;
  const Tokenizer tokenizer = Tokenizer::load(shared("backbones/gpt2-mini-8k"));
  save_with_id_tokens(tokenizer, {tokenizer.size(), 3, 2}, folder.path());
  const nlohmann::json vocabulary = nlohmann::json::parse(folder.read("tokenizer.json")).at("model").at("vocab");
  EXPECT_EQ(vocabulary.size(), 8192u + 5u);
  EXPECT_EQ(vocabulary.at("user_0"), 8192);
  EXPECT_EQ(vocabulary.at("user_2"), 8194);
  EXPECT_EQ(vocabulary.at("item_0"), 8195);
  EXPECT_EQ(vocabulary.at("item_1"), 8196);
  EXPECT_EQ(nlohmann::json::parse(folder.read("tokenizer_config.json")).at("eos_token"), "<|endoftext|>");
}

}  // namespace
}  // namespace cllm
