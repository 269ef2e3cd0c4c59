#include "model/recommenders/program.h"

#include <gtest/gtest.h>

namespace cllm {
namespace {

Segment segment_of(int stage, std::vector<Stream> streams) { return {.stage = stage, .streams = std::move(streams)}; }

TEST(Program, InterleavedStreamsAreTakenInProportionAndWhole) {
  const Segment mixed = segment_of(0, {{0, 3}, {1, 9}});
  std::vector<int64_t> next{0, 0};
  for (int64_t step = 0; step < mixed.num_steps(); ++step) {
    const StepRef ref = mixed.at(step);
    EXPECT_EQ(ref.step, next[static_cast<size_t>(ref.task)]++) << step;
  }
  EXPECT_EQ(next, (std::vector<int64_t>{3, 9}));
  EXPECT_EQ(mixed.at(3).task, 0);  // one of the first for three of the second
}

TEST(Program, SegmentsAndStreamsWithoutStepsAreLeftOut) {
  const Program program({"a", "b"}, {"x", "y"},
                        {segment_of(0, {{0, 0}}), segment_of(0, {{0, 2}, {1, 0}}), segment_of(1, {{0, 5}})});
  ASSERT_EQ(program.segments().size(), 2U);
  EXPECT_EQ(program.num_steps(), 7);
  EXPECT_TRUE(program.has(0));
  EXPECT_FALSE(program.has(1));
  EXPECT_EQ(program.segment_of(1), 0U);
  EXPECT_EQ(program.segment_of(2), 1U);
  EXPECT_EQ(program.steps_of(0), 2);
  EXPECT_EQ(program.steps_of_before(1, 4), 2);
  EXPECT_EQ(program.at(4).stage, 1);
  EXPECT_EQ(program.at(4).step, 2);
}

TEST(Program, EpochsAreCountedOverAllStagesAndPausesAreAtValidations) {
  const auto segment = [](int stage, int64_t epoch, bool validates) {
    return Segment{
        .stage = stage, .epoch = epoch, .validate_after = validates, .streams = {{.task = 0, .num_steps = 2}}};
  };
  // A warm-up epoch, then two epochs of two segments each, of which the first validates.
  const Program program(
      {"a", "b"}, {"x"},
      {segment(0, 0, false), segment(1, 0, true), segment(1, 0, false), segment(1, 1, true), segment(1, 1, false)});
  EXPECT_EQ(program.epochs_of(0), 0);
  EXPECT_EQ(program.epochs_of(1), 1);
  EXPECT_EQ(program.epochs_of(2), 2);
  EXPECT_EQ(program.epochs_of(3), 2);
  EXPECT_EQ(program.epochs_of(5), 3);
  EXPECT_EQ(program.segments_for(1), 2U);  // the warm-up has no validation
  EXPECT_EQ(program.segments_for(2), 2U);
  EXPECT_EQ(program.segments_for(3), 4U);
  EXPECT_EQ(program.segments_for(9), 5U);
}

}  // namespace
}  // namespace cllm
