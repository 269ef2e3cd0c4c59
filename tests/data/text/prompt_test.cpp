#include "data/text/prompt.h"

#include <gmock/gmock.h>

#include "data/text/id_tokens.h"
#include "tests/data/text/shared_files.h"

namespace cllm {
namespace {

using cllm::testing::gpt2;
using ::testing::ElementsAre;
using Kind = PromptPiece::Kind;

constexpr Vocabulary kPromptVocabulary{50257, 10, 20};

TEST(PromptTemplate, GivesTheIdsOfTheMethod) {
  const auto collaborative = PromptTemplate::compile("{user} has interacted with", gpt2());
  EXPECT_THAT(collaborative.fill(kPromptVocabulary, 4, -1, {}), ElementsAre(50261, 468, 49236, 351));
  const auto review = PromptTemplate::compile("{user} wrote the following review for {item}:", gpt2());
  EXPECT_THAT(review.fill(kPromptVocabulary, 4, 6, {}), ElementsAre(50261, 2630, 262, 1708, 2423, 329, 50273, 25));
  EXPECT_EQ(review.fixed_length(), 8);
}

TEST(PromptTemplate, TheHistoryStandsBetweenTheWordsWithoutBlanks) {
  const auto recommend =
      PromptTemplate::compile("{user} has interacted with {items}, {user} will interact with", gpt2());
  const std::vector<int32_t> items = {3, 0};
  EXPECT_THAT(recommend.fill(kPromptVocabulary, 4, -1, items),
              ElementsAre(50261, 468, 49236, 351, 50270, 50267, 11, 50261, 481, 9427, 351));
  EXPECT_THAT(recommend.fill(kPromptVocabulary, 4, -1, {}),
              ElementsAre(50261, 468, 49236, 351, 11, 50261, 481, 9427, 351));
  EXPECT_EQ(recommend.fixed_length(), 9);
  EXPECT_TRUE(recommend.names(Kind::kItems));
  EXPECT_FALSE(recommend.names(Kind::kItem));
}

TEST(PromptTemplate, AgreesWithTheSplittingOfWholeTexts) {
  const std::vector<int32_t> no_items;
  for (const std::string text :
       {"The biography of {user} is:", "  {user}  {item} \n x ", "{user}{item}, {user}_ {users}"}) {
    std::string named = text;
    for (const auto& [place, id] : {std::pair{"{user}", "user_7"}, std::pair{"{item}", "item_11"}})
      for (size_t at = 0; (at = named.find(place)) != std::string::npos;) named.replace(at, 6, id);
    EXPECT_EQ(PromptTemplate::compile(text, gpt2()).fill(kPromptVocabulary, 7, 11, no_items),
              encode_with_ids(gpt2(), kPromptVocabulary, named))
        << text;
  }
}

TEST(PromptTemplate, TheSpellingOfTheMethodMeansTheSame) {
  EXPECT_EQ(PromptTemplate::compile("user_i likes item_j: <items>", gpt2()).pieces(),
            PromptTemplate::compile("{user} likes {item}: {items}", gpt2()).pieces());
  EXPECT_FALSE(PromptTemplate::compile("user_id and item_j2", gpt2()).names(Kind::kUser));
}

TEST(PromptTemplate, MayStandBehindTheTokenOfTheBeginning) {
  const PromptTemplate prompt = PromptTemplate({{Kind::kUser}, {Kind::kWord, 28}, {Kind::kItems}});
  const std::vector<int32_t> bos = {1}, items = {2};
  EXPECT_THAT(prompt.behind(bos).fill({61, 7, 11}, 2, -1, items), ElementsAre(1, 63, 28, 70));
  EXPECT_THAT(prompt.behind(bos).without(Kind::kUser).fill({61, 7, 11}, 2, -1, items), ElementsAre(1, 28, 70));
  EXPECT_EQ(prompt.behind(bos).fixed_length(), 3);
  EXPECT_EQ(prompt.behind({}).pieces(), prompt.pieces());
}

TEST(PromptTemplate, TakesListsOfWordIdsAndPlaces) {
  const PromptTemplate prompt({{Kind::kUser}, {Kind::kWord, 28}, {Kind::kItems}, {Kind::kWord, 11}});
  const std::vector<int32_t> items = {1, 2};
  EXPECT_THAT(prompt.fill({61, 7, 11}, 2, -1, items), ElementsAre(63, 28, 69, 70, 11));
}

}  // namespace
}  // namespace cllm
