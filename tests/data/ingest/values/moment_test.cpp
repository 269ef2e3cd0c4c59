#include "data/ingest/values/moment.h"

#include <gtest/gtest.h>

namespace cllm {
namespace {

constexpr Moment kKnown{1531001351, 0};  // 2018-07-07 22:09:11 UTC, a Saturday

TEST(Moment, reads_the_forms_in_which_public_files_write_one_point_in_time) {
  for (const char* text : {"1531001351",
                           "1531001351.0",
                           "1.531001351e9",
                           "2018-07-07 22:09:11",
                           "2018-07-07T22:09:11",
                           "2018-07-07T22:09:11Z",
                           "2018-07-07t22:09:11z",
                           "2018-07-07T22:09:11.000+00:00",
                           "2018-07-08T00:09:11+02:00",
                           "2018-07-07 14:09:11-0800",
                           "2018-07-07 22:09:11+00",
                           "2018-07-07 22:09:11 UTC",
                           "2018-07-07 22:09:11 +0000 UTC",
                           "2018/07/07 22:09:11",
                           "20180707T220911Z",
                           "20180707T220911.000+0000",
                           "20180708T000911+02",
                           "Sat, 07 Jul 2018 22:09:11 +0000",
                           "Sat, 7 Jul 2018 22:09:11 GMT",
                           "07 Jul 2018 22:09:11 Z",
                           "Sat, 07 Jul 2018 17:09:11 EST",
                           "Sat, 07 Jul 2018 15:09:11 PDT",
                           "Sat, 07 Jul 18 22:09:11 +0000 (UTC)",
                           "Saturday, 07-Jul-18 22:09:11 GMT",
                           "Sat Jul 07 2018 23:09:11 GMT+0100 (Central European Time)",
                           "Sat Jul 07 22:09:11 +0000 2018",
                           "Sat Jul 07 14:09:11 -0800 2018",
                           "Sat Jul  7 22:09:11 2018",
                           "July 7, 2018 22:09:11",
                           "7/7/2018 10:09:11 PM",
                           "07/07/2018, 10:09:11 pm",
                           " 1531001351 "}) {
    EXPECT_EQ(parse_moment(text), kKnown) << text;
  }
}

TEST(Moment, reads_dates_without_a_time_of_day) {
  for (const char* text : {"2018-07-07", "2018/07/07", "July 7, 2018", "Jul. 7, 2018", "7 July 2018", "07-Jul-2018",
                           "07 07, 2018", "Sat, 07 Jul 2018", "7/7/2018"}) {
    EXPECT_EQ(parse_moment(text), (Moment{1530921600, 0})) << text;
  }
  EXPECT_EQ(parse_moment("2018-07-07 22:09"), (Moment{1531001340, 0}));
  EXPECT_EQ(parse_moment("1/1/1970 12:00:05 AM"), (Moment{5, 0}));
  EXPECT_EQ(parse_moment("7/7/2018 22:09"), (Moment{1531001340, 0}));
  EXPECT_EQ(parse_moment("1970-01-01T24:00"), (Moment{86400, 0}));
}

TEST(Moment, keeps_the_order_of_fractions_beyond_what_a_double_holds) {
  EXPECT_EQ(parse_moment("2020-07-05 00:08:23.438"), (Moment{1593907703, 438000000}));
  EXPECT_EQ(parse_moment("2020-07-05T00:08:23,438Z"), (Moment{1593907703, 438000000}));
  EXPECT_EQ(parse_moment("1593878903.438"), (Moment{1593878903, 438000000}));
  EXPECT_LT(parse_moment("1593878903.4381234561"), parse_moment("1593878903.438123457"));
  EXPECT_LT(parse_moment("9007199254740993"), parse_moment("9007199254740994"));
  EXPECT_EQ(parse_moment("-0.25"), (Moment{-1, 750000000}));
  EXPECT_LT(parse_moment("-1.5"), parse_moment("-1.25"));
}

TEST(Moment, refuses_what_it_does_not_know) {
  for (const char* text : {"",
                           "soon",
                           "2018-02-30",
                           "2018-13-01",
                           "2018-07-07 25:00:00",
                           "2018-07-07 24:01",
                           "1e300",
                           "nan",
                           "07 Jul 118",
                           "20180707T",
                           "20180707T2209115Z",
                           "Sat, 07 Jul 2018 22:09:11 +0000 (UTC",
                           "Sat Jul 07 22:09:11 CST 2018",
                           "13/07/2018 10:09:11 PM",
                           "2018-07-07 22:09:11 EST",
                           "2018-07-07 22:09:11.",
                           "2018-07/07",
                           "22:09:11",
                           "2018-07-07T22:09:11+25:00",
                           "Sat, 32 Jul 2018",
                           "July 2018",
                           "99999999999999999999",
                           "2018-07-07 22:09:11 and more"}) {
    EXPECT_EQ(parse_moment(text), std::nullopt) << text;
  }
}

TEST(Moment, tells_dates_from_numbers) {
  EXPECT_TRUE(parse_date("2018-07-07"));
  EXPECT_FALSE(parse_date("1531001351"));
  EXPECT_FALSE(parse_date("20180707"));
}

}  // namespace
}  // namespace cllm
