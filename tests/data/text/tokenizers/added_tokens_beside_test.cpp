// Tokens that a text may name, as the `tokenizers` library (0.23) cuts them out; also of vocab.json and merges.txt.

#include <gmock/gmock.h>

#include "data/errors.h"
#include "data/text/tokenizer.h"
#include "tests/data/text/shared_files.h"

namespace cllm {
namespace {

using cllm::testing::TemporaryFolder;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using AddedIds = std::vector<int32_t>;

/// 256 bytes, <|endoftext|>, then the added tokens: 257, 258, ...
nlohmann::json bytes_with(const nlohmann::json& added) {
  TemporaryFolder folder;
  Tokenizer::train([]() -> std::optional<std::string_view> { return {}; }, 257).save(folder.path());
  nlohmann::json json = nlohmann::json::parse(std::ifstream(folder.path() / "tokenizer.json"));
  for (const auto& token : added) {
    json["added_tokens"].push_back(token);
    json["added_tokens"].back()["id"] = 256 + json["added_tokens"].size() - 1;
  }
  return json;
}

Tokenizer load_json(const nlohmann::json& json) {
  TemporaryFolder folder;
  std::ofstream(folder.path() / "tokenizer.json") << json;
  return Tokenizer::load(folder.path());
}

/// Bytes as their characters, added tokens as <id>.
std::string shown(const Tokenizer& tokenizer, const std::string& text) {
  std::string out;
  for (const int32_t id : tokenizer.encode(text))
    out += id > 256 ? "<" + std::to_string(id) + ">" : tokenizer.decode(AddedIds{id});
  return out;
}

TEST(AddedTokens, are_cut_out_of_texts_the_leftmost_and_longest_first) {
  const Tokenizer tokenizer = load_json(bytes_with(
      {{{"content", "[ITEM]"}}, {{"content", "[ITEM]s"}}, {{"content", "TEM] no"}}, {{"content", "\u559c\u6b22"}}}));
  EXPECT_EQ(tokenizer.size(), 261);
  EXPECT_EQ(shown(tokenizer, "see [ITEM] now"), "see <257> now");
  EXPECT_EQ(shown(tokenizer, "[ITEM][ITEM]s[ITE"), "<257><258>[ITE");
  EXPECT_EQ(shown(tokenizer, "xTEM] now"), "x<259>w");
  EXPECT_EQ(shown(tokenizer, "a\u559c\u6b22b"), "a<260>b");
  EXPECT_EQ(tokenizer.decode(tokenizer.encode("a [ITEM]s \u559c\u6b22")), "a [ITEM]s \u559c\u6b22");
}

TEST(AddedTokens, take_white_space_where_they_say_so) {
  const Tokenizer tokenizer =
      load_json(bytes_with({{{"content", "<mask>"}, {"lstrip", true}}, {{"content", "<end>"}, {"rstrip", true}}}));
  EXPECT_EQ(shown(tokenizer, "a \t<mask> b"), "a<257> b");
  EXPECT_EQ(shown(tokenizer, "a <end> \u00a0\u3000b"), "a <258>b");
  EXPECT_EQ(shown(tokenizer, "<end>  <mask>"), "<258><257>");
}

TEST(AddedTokens, do_not_make_the_end_of_a_text_a_word_of_it) {
  const Tokenizer tokenizer = load_json(bytes_with(nlohmann::json::array()));
  EXPECT_EQ(shown(tokenizer, "a<|endoftext|>"), "a<|endoftext|>");
}

TEST(AddedTokens, are_read_beside_vocab_json_and_merges_txt_in_both_forms) {
  for (const bool newer : {true, false}) {
    TemporaryFolder folder;
    Tokenizer::train([]() -> std::optional<std::string_view> { return {}; }, 257).save(folder.path());
    std::filesystem::remove(folder.path() / "tokenizer.json");
    if (newer) {
      std::ofstream(folder.path() / "tokenizer_config.json")
          << R"({"added_tokens_decoder": {"256": {"content": "<|endoftext|>"},)"
          << R"("257": {"content": "[A]", "lstrip": true}}})";
    } else {
      std::ofstream(folder.path() / "added_tokens.json") << R"({"[A]": 257})";
    }
    const Tokenizer tokenizer = Tokenizer::load(folder.path());
    EXPECT_EQ(shown(tokenizer, "x [A]y"), newer ? "x<257>y" : "x <257>y");
  }
}

TEST(AddedTokens, survive_saving_and_change_the_fingerprint) {
  const Tokenizer tokenizer =
      load_json(bytes_with({{{"content", "[A]"}}, {{"content", "a b"}}, {{"content", "\u00e9!"}}}));
  TemporaryFolder folder;
  tokenizer.save(folder.path());
  const Tokenizer again = Tokenizer::load(folder.path());
  EXPECT_EQ(again.fingerprint(), tokenizer.fingerprint());
  EXPECT_NE(again.fingerprint(), load_json(bytes_with({{{"content", "[A]"}}})).fingerprint());
  EXPECT_EQ(shown(again, "[A]xa b\u00e9!"), "<257>x<258><259>");
}

}  // namespace
}  // namespace cllm
