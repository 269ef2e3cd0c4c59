#pragma once

#include <string>
#include <vector>

#include "data/ingest/reading/sample.h"

namespace cllm {

/// Are all that are there dates (2018-07-04, 20180704), or all epochs of 1995 to 2035 in seconds or in milliseconds?
bool are_dates(const std::vector<std::string>& values);

/// Are all that are there times of the day: 22:09[:11], 10:09 PM, or hhmm or hhmmss as numbers, some of an hour?
bool are_times_of_day(const std::vector<std::string>& values);

/// Dates of slashes that could as well begin with the day, in words; nothing where some day tells.
std::string note_on_dates(const std::vector<std::string>& values);

/// What is wrong with the times of a table, where no choice of the person says which they are, with the remedy: the
/// time of the day, or small numbers, are the time and another column has the dates; or no column is known as the time,
/// and one that is not used holds such. `wanted`: the columns that the table is read for. Empty: nothing.
struct TimeFault {
  std::string what;
  bool always = false;  // wrong for every split
};
TimeFault fault_of_times(const std::vector<SampledColumn>& columns, const std::vector<Column>& wanted);

}  // namespace cllm
