#include "launch/tune/search_state.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "data/errors.h"

namespace cllm {
namespace {

namespace searches {

using ::testing::HasSubstr;

SearchState example() {
  return {
      .search = R"({"model":"ease","tune.seed":3})",
      .trials =
          {{.trial = 0, .score = 0.1 + 0.2, .epochs = 2, .best_epoch = 1, .epochs_of_program = 6, .seconds = 1.5},
           {.trial = 1,
            .score = 0.5,
            .epochs = 2,
            .best_epoch = 2,
            .epochs_of_program = 6,
            .seconds = 2,
            .values = {{"ease.lambda", "20"}}},
           {.trial = 2, .failure = "step 3: a value is not finite", .ended = true, .values = {{"ease.lambda", "1"}}},
           {.trial = 1,
            .rung = 1,
            .score = 0.4,
            .epochs = 6,
            .best_epoch = 4,
            .epochs_of_program = 6,
            .ended = true,
            .seconds = 4,
            .values = {{"ease.lambda", "20"}}}},
      .seeds = {{.seed = 1, .trial = 1, .score = 0.4, .seconds = 5, .test = {{"recall@20", 0.1}}},
                {.seed = 2, .trial = 1, .score = 0.42, .seconds = 5, .test = {{"recall@20", 0.2}}}},
      .stopped_s = 0.25};
}

TEST(SearchState, ItsLinesGiveItBackToTheLastBit) {
  const SearchState state = example(), again = parse_search(to_jsonl(state), "trials.jsonl");
  EXPECT_EQ(to_jsonl(again), to_jsonl(state));
  EXPECT_EQ(again.search, state.search);
  EXPECT_EQ(again.trials[0].score, state.trials[0].score);
  EXPECT_EQ(again.trials[3].values, state.trials[3].values);
  EXPECT_FALSE(again.trials[2].score);
  EXPECT_EQ(again.stopped_s, 0.25);
  EXPECT_EQ(again.seeds[1].test, state.seeds[1].test);
}

TEST(SearchState, TheBestIsByTheLastScoreOfEachTrialAndSecondsAreOfAll) {
  const SearchState state = example();
  ASSERT_NE(state.best(), nullptr);
  EXPECT_EQ(state.best()->trial, 1);
  EXPECT_EQ(state.best()->rung, 1);
  EXPECT_DOUBLE_EQ(state.seconds(), 7.75);
  EXPECT_EQ(SearchState().best(), nullptr);
}

TEST(SearchState, ALineThatIsNoneIsNamed) {
  try {
    parse_search(to_jsonl(example()) + "{\"trial\": 4}\n", "runs/a/trials.jsonl");
    FAIL();
  } catch (const DataError& error) {
    EXPECT_THAT(error.what(), HasSubstr("runs/a/trials.jsonl:9: no line of a search"));
  }
}

TEST(SearchState, TablesHaveARowPerTrialAndTheBestComesFirstForPeople) {
  const SearchState state = example();
  EXPECT_THAT(trials_tsv(state), HasSubstr("\n1\t0.400000\t1\t6\t4\tyes\t6.0\t20\n"));
  EXPECT_THAT(trials_tsv(state), HasSubstr("2\tfailed: step 3: a value is not finite\t"));
  const std::string best = trials_markdown(state, 1);
  EXPECT_THAT(best, HasSubstr("| 1 | 0.400000 | 1 | 6 | 4 | yes | 6.0 | 20 |\n"));
  EXPECT_EQ(std::ranges::count(best, '\n'), 3);
  EXPECT_THAT(seeds_markdown(state), HasSubstr("| test recall@20 | 0.1500 | 0.0707 | 2 |"));
}

}  // namespace searches

}  // namespace
}  // namespace cllm
