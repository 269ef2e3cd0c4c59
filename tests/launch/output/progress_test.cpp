#include "launch/output/progress.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

namespace cllm {
namespace {

using ::testing::HasSubstr;

/// A terminal or file that remembers, and a clock that stands still until told.
struct Fake {
  std::string out;
  double now_s = 0;
  ProgressSink sink(bool terminal) {
    return {.write = [this](const std::string& text) { out += text; },
            .now_s = [this] { return now_s; },
            .terminal = terminal};
  }
};

TEST(Progress, StageLineShowsLossesRatesAndTimeLeft) {
  Fake fake;
  StageProgress progress("mutual", 100, 0, fake.sink(true));
  for (int step = 0; step < 50; ++step) {
    fake.now_s += 2;
    progress.step({.task = "L", .loss = 5.5, .terms = {{"lm", 5}, {"mr", 0.5}}, .sequences = 40, .tokens = 3000},
                  "epoch 1/2 L");
  }
  const std::string last = fake.out.substr(fake.out.rfind('\r'));
  EXPECT_THAT(
      last,
      HasSubstr("mutual     50%  epoch 1/2 L  loss 5.500  LM 5.000  MR 0.5000  20 seq/s  1.50k tok/s  left 1m40s"));
  EXPECT_EQ(fake.out.find('\n'), std::string::npos);
}

TEST(Progress, LossesOfOneTaskDoNotMixWithThoseOfAnother) {
  Fake fake;
  StageProgress progress("finetune", 100, 0, fake.sink(true));
  const auto step = [&](const StepProgress& values) {
    fake.now_s += 1;
    progress.step(values, "");
    return fake.out.substr(fake.out.rfind('\r'));
  };
  for (int n = 0; n < 10; ++n) step({.task = "F", .loss = 10, .terms = {{"lm", 10}}});
  EXPECT_THAT(step({.task = "C", .loss = 7, .terms = {{"lm", 6}, {"mr", 1}}}),
              HasSubstr("loss 7.000  LM 6.000  MR 1.000 "));
  EXPECT_THAT(step({.task = "C", .loss = 8, .terms = {{"lm", 6}, {"mr", 2}}}),
              HasSubstr("loss 7.020  LM 6.000  MR 1.020 "));
  EXPECT_THAT(step({.task = "F", .loss = 10, .terms = {{"lm", 10}}}), HasSubstr("loss 10.00  LM 10.00  0 seq/s"));
}

TEST(Progress, ATermThatComesLaterStartsAtItsFirstValue) {
  Fake fake;
  StageProgress progress("mutual", 100, 0, fake.sink(true));
  fake.now_s = 1;
  progress.step({.task = "C", .loss = 6, .terms = {{"lm", 6}}}, "");
  fake.now_s = 2;
  progress.step({.task = "C", .loss = 6, .terms = {{"lm", 6}, {"mr", 3}}}, "");
  EXPECT_THAT(fake.out, HasSubstr("LM 6.000  MR 3.000"));
}

TEST(Progress, StageLineShowsWhatStepsCost) {
  Fake fake;
  StageProgress progress("mutual", 2, 0, fake.sink(true));
  fake.now_s = 1;
  progress.step({.sequences = 40, .tokens = 3000}, "", "MFU 41%  exposed 3%  1.20MB/step");
  EXPECT_THAT(fake.out, HasSubstr(" tok/s  MFU 41%  exposed 3%  1.20MB/step  left 1s"));
}

TEST(Progress, LineOnATerminalIsEndedOnce) {
  Fake fake;
  {
    StageProgress progress("warmup", 1, 0, fake.sink(true));
    fake.now_s = 1;
    progress.step({.sequences = 1}, "");
    progress.finish();
  }
  EXPECT_EQ(std::ranges::count(fake.out, '\n'), 1);
  EXPECT_THAT(fake.out, HasSubstr("100%"));
}

TEST(Progress, PlainLinesComeAtMostEveryTenSeconds) {
  Fake fake;
  StageProgress progress("finetune", 1000, 0, fake.sink(false));
  for (int step = 0; step < 100; ++step) {
    fake.now_s += 0.5;
    progress.step({.sequences = 1}, "");
  }
  EXPECT_EQ(std::ranges::count(fake.out, '\n'), 5);
  EXPECT_EQ(fake.out.find('\r'), std::string::npos);
}

TEST(Progress, ResumedStageCountsOnlyItsOwnStepsInTheTimeLeft) {
  Fake fake;
  StageProgress progress("mutual", 100, 90, fake.sink(true));
  fake.now_s = 3;
  progress.step({}, "");
  EXPECT_THAT(fake.out, HasSubstr("91%"));
  EXPECT_THAT(fake.out, HasSubstr("left 27s"));
}

TEST(Progress, PausesDoNotCountInRates) {
  Fake fake;
  StageProgress progress("mutual", 10, 0, fake.sink(true));
  fake.now_s = 1;
  progress.step({.sequences = 20}, "");
  fake.now_s = 1000;
  progress.pause();
  fake.now_s = 1001;
  progress.step({.sequences = 20}, "");
  EXPECT_DOUBLE_EQ(progress.sequences_per_s(), 20);
}

TEST(Progress, PhaseLineShowsRateAndTimeLeft) {
  Fake fake;
  PhaseProgress progress("reading", 4e6, "rows", fake.sink(false));
  fake.now_s = 20;
  progress.set(1e6);
  EXPECT_EQ(fake.out, "reading   25%  1.00M of 4.00M rows  50.0k rows/s  left 1m00s\n");
}

TEST(Progress, PhaseOfUnknownLengthShowsNoTimeLeft) {
  Fake fake;
  PhaseProgress progress("reading", 0, "rows", fake.sink(false));
  fake.now_s = 10;
  progress.set(500);
  EXPECT_EQ(fake.out, "reading  500 rows  50 rows/s  in 10s\n");
}

}  // namespace
}  // namespace cllm
