#include "data/ingest/reading/time_columns.h"

#include <gtest/gtest.h>

namespace cllm::testing {
namespace {

TEST(TimeColumns, dates_and_epochs_are_told_from_ids_and_orders) {
  EXPECT_TRUE(are_dates({"2018-07-04", "", "July 5, 2018"}));
  EXPECT_TRUE(are_dates({"20180704", "20180705"}));
  EXPECT_TRUE(are_dates({"1531001351", "1531001352.5"}));
  EXPECT_TRUE(are_dates({"1531001351438"}));
  EXPECT_FALSE(are_dates({"1531001351", "1531001351438"}));
  EXPECT_FALSE(are_dates({"1531001351", "12"}));
  EXPECT_FALSE(are_dates({"2018-07-04", "unknown"}));
  EXPECT_FALSE(are_dates({"", "NaN"}));
  EXPECT_FALSE(are_dates({"0857231082", "1857231082"}));  // ISBN
  EXPECT_FALSE(are_dates({"4.5", "1998"}));
}

TEST(TimeColumns, times_of_the_day_are_told_from_orders) {
  EXPECT_TRUE(are_times_of_day({"22:09", "9:05:58 PM", "23:59:59.5"}));
  EXPECT_TRUE(are_times_of_day({"2209", "930", "5"}));
  EXPECT_TRUE(are_times_of_day({"220911", "93000"}));
  EXPECT_FALSE(are_times_of_day({"1", "2", "59"}));
  EXPECT_FALSE(are_times_of_day({"159", "160"}));
  EXPECT_FALSE(are_times_of_day({"1531001351"}));
  EXPECT_FALSE(are_times_of_day({"2018-07-04"}));
}

}  // namespace
}  // namespace cllm::testing
