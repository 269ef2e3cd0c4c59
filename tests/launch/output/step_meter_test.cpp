#include "launch/output/step_meter.h"

#include <gmock/gmock.h>

namespace cllm {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Pair;

StepCost cost(double took_s, double forward_s) {
  StepCost out{.took_s = took_s, .waited_s = 0.25 * took_s, .exchanged_bytes = 1000, .flops = 3e9};
  out.phases.forward = forward_s;
  return out;
}

TEST(StepMeter, MeansArePerStepAndRatiosOverAllTime) {
  StepMeter meter;
  EXPECT_TRUE(meter.means({}).empty());
  meter.add(cost(1, 0.5));
  meter.add(cost(3, 1.5));
  EXPECT_THAT(meter.means({.flops_per_s = 6e9, .bytes_per_s = 1}),
              ElementsAre(Pair("exchanged_bytes", 1000), Pair("exposed_communication", 0.25), Pair("mfu", 0.25)));
  EXPECT_EQ(meter.means({}).size(), 2u);  // no limit was measured: no ratio to it
}

TEST(StepMeter, StallsOfTheDeviceAreExposedToo) {
  StepMeter meter;
  meter.add({.took_s = 4, .waited_s = 0.5, .stalled_s = 1.5});
  EXPECT_THAT(meter.means({})[1], Pair("exposed_communication", 0.5));
  meter.add({.took_s = 1, .stalled_s = 1000});  // never more than the time itself
  EXPECT_THAT(meter.means({})[1], Pair("exposed_communication", 1));
}

TEST(StepMeter, TheBriefFormLeavesOutWhatIsNotKnown) {
  StepMeter meter;
  EXPECT_EQ(meter.brief({}, true), "");
  meter.add({.took_s = 2, .waited_s = 0.1, .exchanged_bytes = 1.2e6, .flops = 3e9});
  EXPECT_EQ(meter.brief({.flops_per_s = 6e9, .bytes_per_s = 1}, true), "MFU 25%  exposed 5%  1.20MB/step");
  EXPECT_EQ(meter.brief({}, true), "exposed 5%  1.20MB/step");
  EXPECT_EQ(meter.brief({}, false), "exposed >=5%  1.20MB/step");
  StepMeter alone;
  alone.add({.took_s = 2, .flops = 3e9});
  EXPECT_EQ(alone.brief({}, true), "");
}

TEST(StepMeter, TheTableNamesEveryPhaseAndWhatIsLeft) {
  StepMeter meter;
  meter.add(cost(1, 0.5));
  meter.add(cost(3, 1.5));
  const std::string table = meter.phase_table();
  for (const Phase& phase : kPhases) EXPECT_THAT(table, HasSubstr(phase.name));
  EXPECT_THAT(table, HasSubstr("forward        1000.000 ms   50.0 %"));
  EXPECT_THAT(table, HasSubstr("rest           1000.000 ms   50.0 %"));
}

}  // namespace
}  // namespace cllm
