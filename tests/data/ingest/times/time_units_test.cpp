#include "data/ingest/times/time_units.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "data/errors.h"

namespace cllm {
namespace {
namespace time_units {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::ThrowsMessage;

/// The notes of a file with these times.
std::vector<std::string> notes_on(const std::vector<int64_t>& times, double limit, int64_t old = 0) {
  ProblemLog log;
  Origin origin;
  origin.file = log.open("a.csv", nullptr) & 0xFFFF;
  origin.line = 2;
  TimeUnits units;
  if (old != 0) units.add_old(old);
  for (const int64_t time : times) {
    units.add({time, 0}, origin);
    ++origin.line;
  }
  units.check(limit, log);
  return log.notes();
}

TEST(TimeUnits, SecondsAndMillisecondsInOneColumnAreRefusedWithTheirPlaces) {
  EXPECT_THAT(
      [] {
        notes_on({1300000000, 1300000001, 1300000002000}, 0.01);
      },
      ThrowsMessage<DataError>(HasSubstr("1 of 3 times are in milliseconds (a.csv:4: 1300000002000), the others "
                                         "in seconds (a.csv:2: 1300000000)")));
}

TEST(TimeUnits, AFewWithinTheErrorLimitAreANote) {
  EXPECT_THAT(notes_on({1300000000000000, 1300000000000001, 1300000002000}, 0.4),
              ElementsAre(HasSubstr("1 of 3 times are in milliseconds")));
}

TEST(TimeUnits, TheCorpusThatIsExtendedCountsToo) {
  EXPECT_THAT(
      [] {
        notes_on({1300000000000, 1300000001000}, 0.01, 1200000000);
      },
      ThrowsMessage<DataError>(HasSubstr("in seconds (the corpus that is extended: 1200000000)")));
}

TEST(TimeUnits, WhatExtendsACorpusIsJudgedByItself) {
  const auto extend = [](const std::vector<int64_t>& old, int64_t time) {
    ProblemLog log;
    log.open("a.csv", nullptr);
    Origin origin;
    origin.line = 2;
    TimeUnits units;
    for (const int64_t one : old) units.add_old(one);
    units.add({time, 0}, origin);
    units.check(0.01, log);
  };
  const std::vector<int64_t> seconds(200, 1531000000), numbers(200, 7);
  for (const int64_t time : {int64_t{1531100000000}, int64_t{20180704}, int64_t{12}}) {
    EXPECT_THAT([&] { extend(seconds, time); }, ThrowsMessage<DataError>(HasSubstr("1 of 1 new times are")));
  }
  EXPECT_THAT([&] { extend(numbers, 1531100000); },
              ThrowsMessage<DataError>(HasSubstr("plain numbers (the corpus that is extended: 7)")));
  extend(seconds, 1531100000);
  extend(numbers, 8);
  extend({29'999'999}, 30'000'001);  // seconds from a start
}

TEST(TimeUnits, ZeroAmongSecondsIsANote) {
  EXPECT_THAT(notes_on({1300000000, 0, 1300000001, -1, 1300000002}, 0),
              ElementsAre(HasSubstr("2 of 5 times are 0 or -1 (a.csv:3: 0): are they missing?")));
  EXPECT_THAT(notes_on({0, 1, 2, 3}, 0), IsEmpty());
}

TEST(TimeUnits, OrdersNegativeTimesAndFarDatesAreNoOtherUnit) {
  constexpr int64_t kEndOfTime = 253402300799;  // 9999-12-31
  EXPECT_THAT(notes_on({-1300000000, 0, 1, 20110313, 1300000000, kEndOfTime}, 0), IsEmpty());
  EXPECT_THAT(notes_on({1, 2, 3}, 0), IsEmpty());
}

TEST(TimeUnits, WrittenTimesAndEpochsAreNotOfOneForm) {
  for (const int64_t written : {int64_t{20110313}, int64_t{201103130706}, int64_t{20110313070641}}) {
    EXPECT_THAT(
        [&] {
          notes_on({1300000000, written, 1300000001}, 0.01);
        },
        ThrowsMessage<DataError>(AllOf(HasSubstr("1 of 3 times are"), HasSubstr(std::to_string(written)))));
    EXPECT_THAT(notes_on({written, written + 1}, 0.01), IsEmpty());
  }
}

TEST(TimeUnits, OneTimeForAllIsNoted) {
  EXPECT_THAT(notes_on({5, 5}, 0), ElementsAre(HasSubstr("all times are 5")));
  EXPECT_THAT(notes_on({5}, 0), IsEmpty());
  TimeUnits units;
  ProblemLog log;
  for (const uint32_t fraction : {750'000'000U, 250'000'000U}) units.add({5, fraction}, {});
  units.check(0, log);
  EXPECT_THAT(log.notes(), IsEmpty());
}

}  // namespace time_units
}  // namespace
}  // namespace cllm
