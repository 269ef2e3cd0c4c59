#include "data/ingest/times/extremes.h"

#include <gtest/gtest.h>

namespace cllm {
namespace {
namespace extremes {

Extremes of(const std::vector<int64_t>& times) {
  Extremes watched;
  for (const int64_t time : times) watched.add(time, false, {});
  return watched;
}

std::vector<int64_t> count_up(int64_t from, int64_t step, std::initializer_list<int64_t> others) {
  std::vector<int64_t> times(others);
  for (int64_t n = 0; n < 40; ++n) times.push_back(from + n * step);
  return times;
}

TEST(Extremes, OfSecondsAreOutsideOf1980To2037) {
  const Extremes odd = of(count_up(900'000'000, 20'000'000, {2147483647, -2208988800, -999, 2147483647}));
  ASSERT_TRUE(odd.last() && odd.first());
  EXPECT_EQ(odd.last()->time, 2147483647);
  EXPECT_EQ(odd.last()->count, 2u);
  EXPECT_EQ(odd.first()->count, 2u);
  const Extremes even = of(count_up(900'000'000, 20'000'000, {}));
  EXPECT_FALSE(even.first() || even.last());
}

TEST(Extremes, OfMillisecondsAreOutsideOfTheSameYears) {
  const Extremes odd = of(count_up(900'000'000'000, 20'000'000'000, {253402300799000, -62135596800000}));
  ASSERT_TRUE(odd.last() && odd.first());
  EXPECT_EQ(odd.last()->time, 253402300799000);
}

TEST(Extremes, OfAnOrderAreSeveralFarFromTheOthers) {
  EXPECT_EQ(of(count_up(1, 1, {99999, 99999, 99999})).last()->count, 3u);
  EXPECT_EQ(of(count_up(1, 1, {-999, -999})).first()->time, -999);
  EXPECT_FALSE(of(count_up(1, 1, {99999})).last()) << "one may be far";
  EXPECT_FALSE(of(count_up(1, 1, {50, 50})).last());
}

TEST(Extremes, AreNoneAmongFewDifferentTimes) {
  std::vector<int64_t> months, years;
  for (int n = 0; n < 40; ++n) {
    for (int month = 1; month <= 12; ++month) months.push_back(201400 + month);
    for (int year = -10; year <= 3; ++year) years.push_back(year * 31'536'000);
    months.insert(months.end(), {201501, 201502});
  }
  EXPECT_FALSE(of(months).first() || of(months).last());
  EXPECT_FALSE(of(years).first() || of(years).last()) << "1960 to 1973";
  EXPECT_FALSE(of({1, 2, 4, 7, 11, 16, 22, 29, 37, 46, 46, 46}).last());
}

}  // namespace extremes
}  // namespace
}  // namespace cllm
