// Golden tokenizers of six families, and what is done with them: ../shared/golden/tokenizers.

#include <gmock/gmock.h>

#include "data/text/id_tokens.h"
#include "data/text/prompt.h"
#include "data/text/tokenizer.h"
#include "data/text/tokenizers/parts.h"
#include "tests/data/text/shared_files.h"

namespace cllm {
namespace {

using cllm::testing::shared;
using cllm::testing::shared_json;
using cllm::testing::TemporaryFolder;
using TokenIdsOfText = std::vector<int32_t>;

const char* const kFamilies[] = {"bert", "gemma", "llama2", "llama3", "qwen2", "t5"};

Tokenizer golden(const std::string& family) { return Tokenizer::load(shared("golden/tokenizers/" + family)); }

Tokenizer changed(const std::string& family, const std::function<void(nlohmann::json&)>& change) {
  nlohmann::json file = shared_json("golden/tokenizers/" + family + "/tokenizer.json");
  change(file);
  TemporaryFolder folder;
  folder.write("tokenizer.json", file.dump());
  return Tokenizer::load(folder.path());
}

std::vector<std::string> tokens_of_text(const Tokenizer& tokenizer, std::string_view text, EncodeOptions options = {}) {
  std::vector<std::string> tokens;
  for (const int32_t id : tokenizer.encode(text, options))
    tokens.push_back(tokenizer.parts().tokens[static_cast<size_t>(id)]);
  return tokens;
}

TEST(Families, GoldenIdsAndDecodingsAreReproduced) {
  for (const std::string family : kFamilies) {
    const Tokenizer tokenizer = golden(family);
    for (const auto& vector : shared_json("golden/tokenizers/" + family + "/vectors.json").at("texts")) {
      const std::string text = vector.at("text");
      EXPECT_EQ(tokenizer.encode(text, {.special_words = true}), vector.at("ids").get<TokenIdsOfText>()) << text;
      EXPECT_EQ(tokenizer.encode(text, {.special_words = true, .around = true}),
                vector.at("ids_special").get<TokenIdsOfText>());
      EXPECT_EQ(tokenizer.decode(vector.at("ids").get<TokenIdsOfText>()), vector.at("decoded")) << text;
    }
  }
}

TEST(Families, SavedFilesAreTheSameTokenizer) {
  for (const char* family : kFamilies) {
    const Tokenizer tokenizer = golden(family);
    TemporaryFolder folder, again;
    tokenizer.save(folder.path());
    Tokenizer::load(folder.path()).save(again.path());
    EXPECT_EQ(Tokenizer::load(folder.path()).fingerprint(), tokenizer.fingerprint()) << family;
    EXPECT_EQ(again.read("tokenizer.json"), folder.read("tokenizer.json"));
  }
}

TEST(Families, SpecialWordsAreTextUnlessTheyAreAskedFor) {
  for (const auto& [family, word] : {std::pair("llama2", "</s>"),
                                     {"gemma", "<bos>"},
                                     {"llama3", "<|begin_of_text|>"},
                                     {"qwen2", "<|im_end|>"},
                                     {"bert", "[MASK]"}}) {
    const Tokenizer tokenizer = golden(family);
    EXPECT_EQ(tokenizer.encode(word, {.special_words = true}).size(), 1u) << family;
    const TokenIdsOfText as_text = tokenizer.encode(word);
    EXPECT_GT(as_text.size(), 1u) << family;
    const int32_t kUnknown = 1;  // of BERT: brackets that no piece has
    for (const int32_t id : as_text) EXPECT_TRUE(id == kUnknown || !tokenizer.parts().added.is_special(id)) << family;
  }
}

/// BACKBONES.md §11: behind an ID token no dummy prefix; blanks that are there stay.
TEST(Families, TextBehindAnIdTokenHasNoDummyPrefix) {
  const std::string mark = "\u2581";
  for (const char* family : {"llama2", "gemma"}) {
    const Tokenizer tokenizer = golden(family);
    const auto behind = tokens_of_text(tokenizer, " has", {.behind_id = true});
    ASSERT_FALSE(behind.empty());
    EXPECT_TRUE(behind[0].starts_with(mark)) << family;
    EXPECT_FALSE(behind[0].starts_with(mark + mark) || (behind.size() > 1 && behind[1].starts_with(mark))) << family;
    EXPECT_FALSE(tokens_of_text(tokenizer, ", the", {.behind_id = true})[0].starts_with(mark)) << family;
  }
  EXPECT_TRUE(tokens_of_text(golden("llama2"), ", the")[0].starts_with(mark));
  EXPECT_TRUE(tokens_of_text(golden("t5"), " has", {.behind_id = true})[0].starts_with(mark));
  EXPECT_FALSE(tokens_of_text(golden("t5"), ", the", {.behind_id = true})[0].starts_with(mark));
}

TEST(Families, PromptsAndIdWordsAreCutAlike) {
  for (const char* family : kFamilies) {
    const Tokenizer tokenizer = golden(family);
    const Vocabulary vocabulary{tokenizer.size(), 5, 5};
    const PromptTemplate prompt = PromptTemplate::compile("The {user} has, {item} and {items}: so", tokenizer);
    const std::vector<int32_t> items = {0, 4};
    TokenIdsOfText expected = encode_with_ids(tokenizer, vocabulary, "The user_3 has, item_2 and item_0item_4: so");
    EXPECT_EQ(prompt.fill(vocabulary, 3, 2, items), expected) << family;
  }
}

TEST(Families, ExportedTokenizerGivesTheIdsOfTraining) {
  for (const char* family : kFamilies) {
    const Tokenizer tokenizer = golden(family);
    const Vocabulary vocabulary{tokenizer.size(), 12, 120};
    TemporaryFolder folder;
    save_with_id_tokens(tokenizer, vocabulary, folder.path());
    const Tokenizer exported = Tokenizer::load(folder.path());
    EXPECT_EQ(exported.size(), tokenizer.size() + 132);
    for (const char* text :
         {"user_1 has interacted with item_3 item_119, the user will interact with:", "The content of item_12 is:",
          "item_1 (item_11)", "user_11", "Hello,  world", "a\nuser_0\nb"}) {
      EXPECT_EQ(exported.encode(text, {.special_words = true}), encode_with_ids(tokenizer, vocabulary, text))
          << family << ": " << text;
    }
  }
}

TEST(AddedTokens, FlagsSayWhereTheyAreFoundAndWhatTheyTakeAlong) {
  const auto with = [](const nlohmann::json& flags) {
    return changed("qwen2", [&](nlohmann::json& file) {
      nlohmann::json token = {{"id", 1503}, {"content", "Tok"}, {"normalized", false}, {"special", false}};
      token.update(flags);
      file["added_tokens"].push_back(token);
    });
  };
  const auto count = [](const Tokenizer& tokenizer, std::string_view text) {
    const TokenIdsOfText ids = tokenizer.encode(text);
    return std::count(ids.begin(), ids.end(), 1503);
  };
  EXPECT_EQ(count(with(nlohmann::json::object()), "Tok aTokb"), 2);
  EXPECT_EQ(count(with({{"single_word", true}}), "Tok aTokb (Tok)"), 2);
  EXPECT_EQ(with({{"lstrip", true}}).encode(" \n Tok"), TokenIdsOfText{1503});
  EXPECT_EQ(with({{"rstrip", true}}).encode("Tok \n "), TokenIdsOfText{1503});
  EXPECT_EQ(with(nlohmann::json::object()).encode("Tok ").size(), 2u);
  // U+00C5 once it is composed
  EXPECT_EQ(count(with({{"content", "\u00C5x"}, {"normalized", true}}), "A\u030Ax"), 1);
  EXPECT_EQ(count(with({{"content", "\u00C5x"}, {"normalized", false}}), "A\u030Ax"), 0);
  EXPECT_EQ(count(with({{"special", true}}), "Tok"), 0);
}

TEST(AddedTokens, TheLongestAtTheLeftmostPlaceIsTaken) {
  const Tokenizer tokenizer = changed("gemma", [](nlohmann::json& file) {
    for (const auto& [id, content] : {std::pair(1500, "\n"), {1501, "\n\n"}, {1502, "\n\n\n"}})
      file["added_tokens"].push_back({{"id", id}, {"content", content}, {"normalized", false}, {"special", false}});
  });
  EXPECT_EQ(tokenizer.encode("\n\n\n\n\n"), (TokenIdsOfText{1502, 1501}));
}

/// Three small files (tests/fuzzers/corpus/gguf): pieces by score with a dummy prefix, and bytes with Qwen's words.
TEST(GgufTokenizer, MetadataIsTheTokenizer) {
  TemporaryFolder folder;
  const auto load = [&](const std::string& name) {
    const std::filesystem::path to = folder.path() / (name + ".gguf");
    std::filesystem::copy(std::filesystem::path(CLLM_SOURCE_DIR) / "tests/fuzzers/corpus/gguf" / name, to);
    return Tokenizer::load(to);
  };
  const Tokenizer pieces = load("llama"), words = load("qwen");
  EXPECT_EQ(pieces.encode("the"), (TokenIdsOfText{259, 263, 262}));  // a mark, then th by its score, then e
  EXPECT_EQ(pieces.encode("the", {.behind_id = true}), (TokenIdsOfText{263, 262}));
  EXPECT_EQ(pieces.encode("", {.around = true}), TokenIdsOfText{1});  // BOS
  EXPECT_EQ(pieces.encode("\n\n"), TokenIdsOfText{265});              // what a user defined is found whole
  EXPECT_EQ(pieces.encode("<s>").size(), 4u);                         // text: a mark and three bytes
  EXPECT_EQ(pieces.decode(pieces.encode("the \u00E9")), "the \u00E9");
  EXPECT_EQ(words.encode("the"), TokenIdsOfText{257});
  EXPECT_EQ(words.decode(words.encode("the \u00E9")), "the \u00E9");
  EXPECT_EQ(words.encode("", {.around = true}), TokenIdsOfText{});
}

TEST(Families, AMegabyteWithoutBlanksIsEncoded) {
  for (const char* family : kFamilies) {
    std::string text;
    while (text.size() < 1'000'000) text += "Wa\u00DFer\u9752in";
    EXPECT_FALSE(golden(family).encode(text).empty()) << family;
  }
}

TEST(Families, BytesThatAreNoUtf8AreNoTrap) {
  for (const char* family : kFamilies)
    for (const std::string& text : {std::string("a\xC3"), std::string("\xFF\xFE x"), std::string("\xED\xA0\x80"),
                                    std::string("\0", 1), std::string("\xF0\x9F\x8C e\xCC\x81")})
      EXPECT_NO_THROW(golden(family).decode(golden(family).encode(text))) << family;
}

}  // namespace
}  // namespace cllm
