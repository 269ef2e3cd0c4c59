#include "launch/tune/halving.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <vector>

namespace cllm {
namespace {

namespace halving {

/// Trains nothing: a trial's score is a function of it. All moves in order.
std::vector<Move> moves_of(const Halving& how, const std::function<std::optional<double>(int64_t)>& score) {
  std::vector<RungScore> known;
  std::vector<Move> out;
  while (const auto move = next_move(how, known)) {
    out.push_back(*move);
    known.push_back({move->trial, move->rung, score(move->trial)});
    EXPECT_LT(out.size(), 1000u) << "it never ends";
    if (out.size() >= 1000) break;
  }
  return out;
}

int64_t num_in(const std::vector<Move>& moves, int rung) {
  return std::ranges::count_if(moves, [&](const Move& move) { return move.rung == rung; });
}

TEST(Halving, RungsAreTheWholeTrainingDividedByTheFactorDownToOneEpoch) {
  EXPECT_EQ(rungs_of(18, 3, 3), 3);
  EXPECT_EQ(epochs_at(0, 3, 18, 3), 2);
  EXPECT_EQ(epochs_at(1, 3, 18, 3), 6);
  EXPECT_EQ(epochs_at(2, 3, 18, 3), 0);
  EXPECT_EQ(rungs_of(8, 3, 3), 2);  // the lowest would have less than an epoch
  EXPECT_EQ(rungs_of(1, 3, 3), 1);  // closed forms
  EXPECT_EQ(rungs_of(1000, 2, 4), 4);
}

TEST(Halving, EachRungHasTheBestThirdOfTheOneBelowAndTheBestTrialReachesTheEnd) {
  const auto moves = moves_of({9, 3, 3}, [](int64_t trial) { return static_cast<double>(trial); });
  EXPECT_EQ(num_in(moves, 0), 9);
  // Rising scores, the worst case: of what is known the newest is the best, so 2, 5 and 8 go on at once, and when all
  // are known 7 and 6, which are among the best third, too.
  std::vector<int64_t> second;
  for (const Move& move : moves) {
    if (move.rung == 1) second.push_back(move.trial);
  }
  EXPECT_EQ(second, (std::vector<int64_t>{2, 5, 8, 7, 6}));
  EXPECT_EQ(num_in(moves, 2), 1);
  EXPECT_TRUE(std::ranges::any_of(moves, [](const Move& move) { return move.rung == 2 && move.trial == 8; }));
}

TEST(Halving, ATrialGoesOnAsSoonAsItIsAmongTheBestOfEnough) {
  const auto moves = moves_of({6, 3, 2}, [](int64_t trial) { return -static_cast<double>(trial); });
  ASSERT_GE(moves.size(), 4u);
  EXPECT_EQ(moves[3].trial, 0);
  EXPECT_EQ(moves[3].rung, 1);
}

TEST(Halving, FewTrialsStillHaveOneThatIsTrainedToItsEnd) {
  const auto moves = moves_of({2, 3, 3}, [](int64_t trial) { return trial == 0 ? 1.0 : 0.5; });
  ASSERT_EQ(moves.size(), 4u);
  EXPECT_EQ(moves.back().trial, 0);
  EXPECT_EQ(moves.back().rung, 2);
}

TEST(Halving, AFailedTrialIsCountedAndNeverGoesOn) {
  const auto moves = moves_of({6, 3, 2}, [](int64_t trial) -> std::optional<double> {
    if (trial % 2 == 1) return {};
    return 1.0;
  });
  EXPECT_EQ(num_in(moves, 0), 6);
  for (const Move& move : moves) EXPECT_TRUE(move.rung == 0 || move.trial % 2 == 0);
  EXPECT_EQ(num_in(moves, 1), 2);
}

TEST(Halving, MoreTrialsLaterGoOnWhereTheSearchEnded) {
  std::vector<RungScore> known;
  const auto play = [&](int64_t trials) {
    while (const auto move = next_move({trials, 2, 2}, known))
      known.push_back({move->trial, move->rung, static_cast<double>(move->trial)});
  };
  play(2);
  const size_t before = known.size();
  play(4);
  EXPECT_EQ(known[before].trial, 2);
  EXPECT_TRUE(std::ranges::any_of(known, [](const RungScore& one) { return one.rung == 1 && one.trial == 3; }));
}

}  // namespace halving

}  // namespace
}  // namespace cllm
