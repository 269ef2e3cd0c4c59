#include "data/text/id_tokens.h"

#include <gmock/gmock.h>

#include "tests/data/text/shared_files.h"

namespace cllm {
namespace {

using cllm::testing::shared_json;
using ::testing::ElementsAre;
using Ids = std::vector<int32_t>;

constexpr int32_t kWords = 50257, kUsers = 10, kItems = 20;
constexpr Vocabulary kVocabulary{kWords, kUsers, kItems};

Ids encode(std::string_view text) { return encode_with_ids(testing::gpt2(), kVocabulary, text); }

constexpr int32_t user(int32_t i) { return kWords + i; }
constexpr int32_t item(int32_t j) { return kWords + kUsers + j; }

TEST(IdTokens, ReproduceTheReleasedExample) {
  const nlohmann::json demo = shared_json("golden/cllm4rec_tokenizer_demo.json");
  EXPECT_EQ(encode(demo.at("text").get<std::string>()), demo.at("ids").get<Ids>());
}

TEST(IdTokens, ReproduceThePromptsOfTheMethod) {
  EXPECT_THAT(encode("user_3 has interacted with"), ElementsAre(user(3), 468, 49236, 351));
  EXPECT_THAT(encode("user_3 wrote the following review for item_7:"),
              ElementsAre(user(3), 2630, 262, 1708, 2423, 329, item(7), 25));
  EXPECT_THAT(encode(", user_3 will interact with"), ElementsAre(11, user(3), 481, 9427, 351));
}

TEST(IdTokens, BlanksBeforeAnIdAndAtTheEndVanish) {
  EXPECT_THAT(encode("user_1 item_2\t\n item_3  "), ElementsAre(user(1), item(2), item(3)));
  EXPECT_THAT(encode("user_1\u00A0\u2003item_0\u3000"), ElementsAre(user(1), item(0)));
  EXPECT_EQ(encode("hello  user_1"), (Ids{31373, user(1)}));
  EXPECT_EQ(encode("user_1 hello "), (Ids{user(1), 23748}));
  EXPECT_THAT(encode(" \n"), ElementsAre());
}

TEST(IdTokens, IdsNeedNoBlankAroundThem) {
  EXPECT_THAT(encode("user_1item_2user_3"), ElementsAre(user(1), item(2), user(3)));
  EXPECT_THAT(encode("user_user_9"), ElementsAre(7220, 62, user(9)));
}

TEST(IdTokens, WordsOutOfRangeAreOrdinaryTextOnTheirOwn) {
  for (const std::string word : {"user_10", "item_20", "user_007", "user_99999999999999999999"}) {
    Ids expected = encode("Hi");
    const Ids alone = encode(word), after = encode(" there");
    EXPECT_LT(*std::max_element(alone.begin(), alone.end()), kWords) << word;
    expected.insert(expected.end(), alone.begin(), alone.end());
    expected.insert(expected.end(), after.begin(), after.end());
    EXPECT_EQ(encode("Hi " + word + " there"), expected) << word;
  }
  EXPECT_EQ(encode("user_9").size(), 1u);
  EXPECT_EQ(encode("item_19").size(), 1u);
  EXPECT_EQ(encode("user_"), encode("user_ "));
}

}  // namespace
}  // namespace cllm
