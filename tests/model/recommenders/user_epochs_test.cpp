#include "model/recommenders/user_epochs.h"

#include <gtest/gtest.h>

#include <vector>

namespace cllm {
namespace {

std::vector<double> rates_of_epochs(const EpochOptions& options) {
  std::vector<double> rates;
  const Program program = program_of_epochs("users", 3, options);
  for (const Segment& segment : program.segments()) rates.push_back(segment.learning_rate);
  return rates;
}

TEST(UserEpochs, TheRateStaysOrFallsByTheSameAmountInEveryEpoch) {
  EXPECT_EQ(rates_of_epochs({.epochs = 4, .learning_rate = 0.5}), (std::vector<double>{0.5, 0.5, 0.5, 0.5}));
  EXPECT_EQ(rates_of_epochs({.epochs = 4, .learning_rate = 0.5, .decay = EpochDecay::kLinear}),
            (std::vector<double>{0.5, 0.375, 0.25, 0.125}));
}

TEST(UserEpochs, ValidationComesAfterEverySoManyEpochsAndTheLast) {
  std::vector<bool> after;
  const Program program = program_of_epochs("users", 3, {.epochs = 5, .validate_every = 2});
  for (const Segment& segment : program.segments()) after.push_back(segment.validate_after);
  EXPECT_EQ(after, (std::vector<bool>{false, true, false, true, true}));
}

}  // namespace
}  // namespace cllm
