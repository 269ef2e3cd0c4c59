#include "data/text/tokenizer.h"

#include <gmock/gmock.h>

#include <thread>

#include "data/errors.h"
#include "data/text/characters/word_split.h"
#include "tests/data/text/shared_files.h"

namespace cllm {
namespace {

using cllm::testing::gpt2;
using cllm::testing::shared;
using cllm::testing::shared_json;
using cllm::testing::TemporaryFolder;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using Ids = std::vector<int32_t>;

void expect_golden(const std::string& file, size_t count) {
  const nlohmann::json vectors = shared_json(file);
  EXPECT_EQ(vectors.size(), count);
  for (const nlohmann::json& vector : vectors) {
    const std::string text = vector.at("text");
    EXPECT_EQ(gpt2().encode(text), vector.at("ids").get<Ids>()) << text;
    EXPECT_EQ(gpt2().decode(vector.at("ids").get<Ids>()), text);
  }
}

TEST(Tokenizer, ReproducesTheGptTokenizerVectors) { expect_golden("golden/gpt_tokenizer_r50k_vectors.json", 64); }

TEST(Tokenizer, ReproducesTheLlamaCppVectors) { expect_golden("golden/llamacpp_gpt2_vectors.json", 44); }

TEST(Tokenizer, BothFileFormsGiveTheSameTokenizer) {
  const auto mini = shared("backbones/gpt2-mini-8k");
  const Tokenizer from_json = Tokenizer::load(mini);
  TemporaryFolder folder;
  for (const char* name : {"vocab.json", "merges.txt"}) std::filesystem::copy(mini / name, folder.path());
  const Tokenizer from_pair = Tokenizer::load(folder.path());
  EXPECT_EQ(from_json.size(), 8192);
  EXPECT_EQ(from_json.fingerprint(), from_pair.fingerprint());
  const std::string text = "The item's 3 colours: Blau, 青い, жёлтый\n\n  and more.";
  EXPECT_EQ(from_json.encode(text), from_pair.encode(text));
}

TEST(Tokenizer, SavedFilesLoadAsTheSameTokenizerInBothForms) {
  TemporaryFolder folder;
  gpt2().save(folder.path());
  EXPECT_EQ(Tokenizer::load(folder.path()).fingerprint(), gpt2().fingerprint());
  std::filesystem::remove(folder.path() / "tokenizer.json");
  EXPECT_EQ(Tokenizer::load(folder.path()).fingerprint(), gpt2().fingerprint());
  EXPECT_EQ(gpt2().size(), 50257);
}

TEST(Tokenizer, EveryByteStringSurvivesEncodingAndDecoding) {
  std::string all_bytes;
  for (int round = 0; round < 3; ++round)
    for (int byte = 0; byte < 256; ++byte) all_bytes += static_cast<char>(byte * (2 * round + 1));
  for (const std::string& text :
       {all_bytes, std::string("caf\xC3"), std::string("\xE2\x82 \xF0\x9F\x8C"), std::string(3, '\0')})
    EXPECT_EQ(gpt2().decode(gpt2().encode(text)), text);
}

TEST(Tokenizer, OneWordOfAMegabyteIsEncoded) {
  for (const std::string unit : {"a", "\xC3\xA9", "\xE9\x9D\x92", " "}) {
    std::string text;
    while (text.size() < 1000000) text += unit;
    EXPECT_EQ(gpt2().decode(gpt2().encode(text)), text);
  }
}

TEST(Tokenizer, TheEndOfTextMarkIsOrdinaryInText) {
  EXPECT_THAT(gpt2().encode("<|endoftext|>"), ElementsAre(27, 91, 437, 1659, 5239, 91, 29));
}

TEST(Tokenizer, ThreadsAndTokenizersDoNotDisturbEachOther) {
  const Tokenizer mini = Tokenizer::load(shared("backbones/gpt2-mini-8k"));
  const std::string text = "Hello world, hello words and hello worlds";
  const Ids expected_gpt2 = gpt2().encode(text), expected_mini = mini.encode(text);
  std::vector<std::jthread> threads;
  std::vector<int> wrong(4, 0);
  for (size_t n = 0; n < wrong.size(); ++n) {
    threads.emplace_back([&, n] {
      for (int round = 0; round < 200; ++round)
        wrong[n] += gpt2().encode(text) != expected_gpt2 || mini.encode(text) != expected_mini;
    });
  }
  threads.clear();
  EXPECT_THAT(wrong, ElementsAre(0, 0, 0, 0));
}

TEST(Words, AsciiShortcutCutsWhereThePatternCuts) {
  const auto words = [](std::string_view text) {
    std::vector<std::string> parts;
    for_each_word(text, [&](std::string_view word) { parts.emplace_back(word); });
    return parts;
  };
  EXPECT_THAT(words("don't  stop\n\n x 12ab's'S"),
              ElementsAre("don", "'t", " ", " stop", "\n\n", " x", " 12", "ab", "'s", "'", "S"));
  // The same words with a letter, digit, sign or blank outside ASCII beside them go through the pattern.
  EXPECT_THAT(words("caf\u00E9's  \u00FC\u0663 \u2014!\u00A0\u00A0x"),
              ElementsAre("caf\u00E9", "'s", " ", " \u00FC", "\u0663", " \u2014!", "\u00A0", "\u00A0", "x"));
  EXPECT_THAT(words("a  \u180Eb"), ElementsAre("a", " ", " \u180E", "b"));  // U+180E is no white space
}

struct BadFile {
  std::string name, vocabulary, merges, message;
};

std::string byte_vocabulary(const std::string& more) {
  TemporaryFolder folder;
  const std::optional<std::string_view> none;
  Tokenizer::train([&] { return none; }, 257).save(folder.path());
  std::string text = folder.read("vocab.json");
  return text.substr(0, text.size() - 1) + more + "}";
}

TEST(Tokenizer, DamagedFilesAreRefusedWithTheirPlace) {
  const std::string bytes = byte_vocabulary("");
  const BadFile files[] = {
      {"truncated", bytes.substr(0, 100), "", "vocab.json: not JSON at byte 10"},
      {"array", "[1]", "", "not an object"},
      {"missing byte", "{\"a\":0}", "", "is not in the vocabulary"},
      {"gap", byte_vocabulary(",\"ab\":300"), "", "token 'ab' has id 300; ids must be 0 .. 257"},
      {"negative", byte_vocabulary(",\"ab\":-1"), "", "token 'ab' has id -1"},
      {"id twice", byte_vocabulary(",\"ab\":7"), "", "of another token"},
      {"no number", byte_vocabulary(",\"ab\":\"x\""), "", "token 'ab' has id \"x\""},
      {"unknown merge", bytes, "#version: 0.2\na b\n", "merge 1: token 'ab' is not in the vocabulary"},
      {"merge twice", byte_vocabulary(",\"ab\":257"), "a b\na b\n", "merge 2: 'a b' occurs twice"},
      {"one symbol", bytes, "#version: 0.2\na\n", "merges.txt:2: 'a' is not two symbols"},
      {"three symbols", bytes, "a b c\n", "merges.txt:1: 'a b c'"},
  };
  for (const BadFile& file : files) {
    TemporaryFolder folder;
    folder.write("vocab.json", file.vocabulary);
    folder.write("merges.txt", file.merges);
    try {
      Tokenizer::load(folder.path());
      ADD_FAILURE() << file.name << " was accepted";
    } catch (const DataError& error) {
      EXPECT_THAT(error.what(), HasSubstr(file.message)) << file.name;
    }
  }
}

TEST(Tokenizer, PartsThatAreNotKnownAreRefused) {
  TemporaryFolder source;
  const std::optional<std::string_view> none;
  Tokenizer::train([&] { return none; }, 257).save(source.path());
  const nlohmann::json good = nlohmann::json::parse(source.read("tokenizer.json"));
  const std::pair<const char*, nlohmann::json> changes[] = {{"/model/type", "WordLevel"},
                                                            {"/model/type", "Unigram"},
                                                            {"/pre_tokenizer/type", "Magic"},
                                                            {"/normalizer", {{"type", "Nmt"}}},
                                                            {"/decoder", 3},
                                                            {"/post_processor", {{"type", "Magic"}}},
                                                            {"/model/dropout", 0.1},
                                                            {"/model/vocab", 3},
                                                            {"/model/merges", {"ab"}},
                                                            {"/added_tokens", {{{"id", 0}}}},
                                                            {"/model", nullptr},
                                                            {"/model/merges", {{1, 2}}}};
  for (const auto& [pointer, value] : changes) {
    nlohmann::json bad = good;
    bad["normalizer"] = {{"type", "NFC"}};  // so that it is not GPT-2's own kind, whose other parts do not matter
    bad[nlohmann::json::json_pointer(pointer)] = value;
    TemporaryFolder folder;
    folder.write("tokenizer.json", bad.dump());
    EXPECT_THROW(Tokenizer::load(folder.path()), DataError) << pointer << " = " << value;
  }
  TemporaryFolder empty;
  EXPECT_THROW(Tokenizer::load(empty.path()), DataError);
}

}  // namespace
}  // namespace cllm
