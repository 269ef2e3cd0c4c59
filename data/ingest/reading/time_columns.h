#pragma once

#include <string>
#include <vector>

#include "data/ingest/reading/sample.h"

namespace cllm {

/// Are all that are there dates (2018-07-04, 20180704), or all epochs of 1995 to 2035 in seconds or in milliseconds?
bool are_dates(const std::vector<std::string>& values);

/// Are all that are there times of the day: 22:09[:11], 10:09 PM, or hhmm or hhmmss as numbers, some of an hour?
bool are_times_of_day(const std::vector<std::string>& values);

/// Dates of slashes that could as well begin with the day, in words; nothing where some day tells. `by_habit`: with AM
/// or PM, which are written with the month first.
std::string note_on_dates(const std::vector<std::string>& values, bool* by_habit);

/// What is wrong with the times of a table, where no choice of the person says which they are, with the remedy: the
/// time of the day, or small numbers, are the time and another column has the dates; or no column is known as the time,
/// and one that is not used holds such; or the time is a day of the month, no order of anybody's, or the item's own.
/// `wanted`: the columns that the table is read for. Empty: nothing.
struct TimeFault {
  enum class Weight { kNote, kWhereTimesCount, kAlways };  // said, or refused: for splits that need times, for all
  std::string what;
  Weight weight = Weight::kNote;
};
TimeFault fault_of_times(const std::vector<SampledColumn>& columns, const std::vector<Column>& wanted);

}  // namespace cllm
