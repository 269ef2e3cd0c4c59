#include "data/ingest/reading/time_columns.h"

#include <algorithm>
#include <charconv>
#include <functional>
#include <map>
#include <optional>

#include "data/ingest/values/column_values.h"
#include "data/ingest/values/days.h"
#include "data/ingest/values/moment.h"
#include "data/ingest/values/parse.h"
#include "data/ingest/values/scanner.h"

namespace cllm {
namespace {

bool is_named(const SampledColumn& column, const Column& wanted) {
  return std::find(wanted.names.begin(), wanted.names.end(), folded(column.name)) != wanted.names.end();
}

/// Does `test` hold for all values that are there, of which there is one?
template <typename Test>
bool all_that_are_there(const std::vector<std::string>& values, Test test) {
  return !all_empty(values) && std::all_of(values.begin(), values.end(), [&](const std::string& value) {
    const std::string_view text = trimmed(value);
    return is_no_value(text) || test(text);
  });
}

/// The digits as a number, if there is nothing else and not too many.
std::optional<int64_t> digits(std::string_view text) {
  constexpr size_t kMost = 18;
  if (text.empty() || text.size() > kMost || !std::all_of(text.begin(), text.end(), is_digit)) return {};
  int64_t number = 0;
  std::from_chars(text.data(), text.data() + text.size(), number);
  return number;
}

/// An epoch may have a fraction, but no zero in front: such are ids.
bool is_epoch(std::string_view text, int64_t units_of_a_second) {
  constexpr int64_t kFrom = 788'918'400, kTo = 2'082'758'400;  // 1995-01-01, 2036-01-01
  const auto time = parse_count(text);
  return time && is_digit(text[0]) && text[0] != '0' && time->time >= kFrom * units_of_a_second &&
         time->time < kTo * units_of_a_second;
}

/// 22:09, 9:05:58 PM
bool is_clock(std::string_view text) {
  Scanner scan(text);
  if (!scan.number(1, 2, 0, 24) || !scan.take(':') || !scan.number(2, 2, 0, 59)) return false;
  if (scan.take(':') && !scan.number(2, 2, 0, 60)) return false;
  if (scan.take('.') && !scan.fraction()) return false;
  scan.take_blanks();
  const std::string_view half = scan.word();
  return (half.empty() || half == "AM" || half == "PM" || half == "am" || half == "pm") && scan.at_end();
}

/// hhmm, or with `seconds` hhmmss.
bool is_clock_number(std::string_view text, bool seconds) {
  auto number = digits(text);
  if (!number || (seconds && *number % 100 >= 60)) return false;
  if (seconds) *number /= 100;
  return *number / 100 < 24 && *number % 100 < 60;
}

/// For messages, as quoted() but without the quotes.
std::string in_plain(std::string_view text) {
  const std::string out = cllm::quoted(text);
  return out.substr(1, out.size() - 2);
}

std::string in_quotes(const SampledColumn& column) {
  const auto there = std::find_if(column.values.begin(), column.values.end(),
                                  [](const std::string& value) { return !is_no_value(trimmed(value)); });
  return cllm::quoted(column.name) + " (" + in_plain(trimmed(*there)) + ")";
}

/// Seconds spent, ranks and the like: no time since 1970, and no day as 20180704.
bool are_small_numbers(const std::vector<std::string>& values) {
  constexpr int64_t kFirstSecond = 30'000'000;  // of 1970's end
  return all_that_are_there(values, [](std::string_view text) {
    const auto number = parse_count(text);
    return number && number->time > -kFirstSecond && number->time < kFirstSecond && !is_written_day(number->time);
  });
}

/// Do numbers go up where the dates of a user do?
bool agree(const SampledColumn& numbers, const SampledColumn& dates, const SampledColumn* users) {
  const size_t rows = numbers.values.size();
  if (dates.values.size() != rows) return false;
  std::map<std::string_view, std::vector<std::pair<Moment, Moment>>> of_user;
  for (size_t row = 0; row < rows; ++row) {
    const auto date = parse_moment(dates.values[row]), number = parse_count(numbers.values[row]);
    const bool known = users != nullptr && users->values.size() == rows;
    if (date && number) of_user[known ? std::string_view(users->values[row]) : ""].emplace_back(*date, *number);
  }
  return std::ranges::all_of(of_user, [](auto& user) {
    auto& times = user.second;
    std::ranges::sort(times);
    return std::ranges::is_sorted(times, std::less<>(), &std::pair<Moment, Moment>::second);
  });
}

std::string list_of(const std::vector<const SampledColumn*>& columns) {
  std::string out;
  for (const SampledColumn* column : columns) out += (out.empty() ? "" : ", ") + in_quotes(*column);
  return out;
}

const SampledColumn* column_of(const std::string& what, const std::vector<SampledColumn>& columns,
                               const std::vector<Column>& wanted) {
  const auto role = std::ranges::find(wanted, what, &Column::what);
  if (role == wanted.end()) return nullptr;
  for (const std::string& name : role->names) {
    for (const SampledColumn& column : columns) {
      if (folded(column.name) == name && !all_empty(column.values)) return &column;
    }
  }
  return nullptr;
}

}  // namespace

bool are_dates(const std::vector<std::string>& values) {
  return all_that_are_there(values, [](std::string_view text) { return parse_date(text).has_value(); }) ||
         all_that_are_there(values, [](std::string_view text) { return is_written_day(digits(text).value_or(0)); }) ||
         all_that_are_there(values, [](std::string_view text) { return is_epoch(text, 1); }) ||
         all_that_are_there(values, [](std::string_view text) { return is_epoch(text, 1000); });
}

bool are_times_of_day(const std::vector<std::string>& values) {
  const bool hours = std::any_of(values.begin(), values.end(), [](const auto& value) {
    return digits(trimmed(value)).value_or(0) >= 100;  // what is less everywhere may be an order
  });
  const auto numbers = [&](bool seconds) {
    return hours && all_that_are_there(values, [&](auto text) { return is_clock_number(text, seconds); });
  };
  return all_that_are_there(values, is_clock) || numbers(false) || numbers(true);
}

std::string note_on_dates(const std::vector<std::string>& values, bool* by_habit) {
  constexpr int kMonths = 12;
  std::string_view example;
  for (const std::string& value : values) {
    Scanner scan(trimmed(value));
    if (!scan.number(1, 2, 1, kMonths) || !scan.take('/')) continue;
    const auto day = scan.number(1, 2, 1, 31);
    if (!day || !scan.take('/')) continue;
    if (*day > kMonths) return "";
    if (example.empty()) example = trimmed(value);
  }
  if (example.empty()) return "";
  *by_habit = (example.back() | 0x20) == 'm';
  return "times such as " + cllm::quoted(example) + " are read as month/day/year, and none of the first has a day " +
         "above 12, which would tell; if the day comes first, write them as 2018-07-04";
}

namespace {

using Weight = TimeFault::Weight;

/// Numbers that are no order of what a user did, and nothing else holds times.
TimeFault fault_of_numbers(const SampledColumn& time, const std::vector<SampledColumn>& columns,
                           const std::vector<Column>& wanted) {
  const std::string name = folded(time.name);
  if (name == "order" || name == "rankintime") return {};
  const auto day = [](std::string_view text) { return digits(text).value_or(32) <= 31; };
  const std::string remedy = "; if they are when the interactions were: " +
                             columns_option("time", time.name, static_cast<size_t>(&time - columns.data()) + 1);
  if (name == "day" && all_that_are_there(time.values, day))
    return {"the time column " + in_quotes(time) + " holds days of a month or a week" + remedy,
            Weight::kWhereTimesCount};
  const SampledColumn* const users = column_of("user", columns, wanted);
  if (users == nullptr || users->values.size() != time.values.size()) return {};
  ColumnValues values;
  for (size_t row = 0; row < time.values.size(); ++row) values.add(users->values[row], time.values[row]);
  const Values kind = values.kind();
  if (kind != Values::kOther && kind != Values::kRating) return {};
  return {"the time column " + in_quotes(time) +
              " holds small numbers that do not go up in the file: are they times? --columns time=none leaves them out",
          Weight::kNote};
}

/// When an item was published, the same for all users, is not when they met it.
TimeFault fault_of_items(const SampledColumn& time, const std::vector<SampledColumn>& columns,
                         const std::vector<Column>& wanted) {
  const SampledColumn* const items = column_of("item", columns, wanted);
  const std::string name = folded(time.name);
  const bool may_be = name.find("publish") != std::string::npos || name.find("release") != std::string::npos;
  if (!may_be || items == nullptr || items->values.size() != time.values.size()) return {};
  std::map<std::string_view, std::string_view> of_item;
  size_t again = 0;
  for (size_t row = 0; row < time.values.size(); ++row) {
    const auto [known, is_new] = of_item.emplace(items->values[row], time.values[row]);
    if (!is_new && known->second != time.values[row]) return {};
    again += is_new ? 0 : 1;
  }
  if (again < 2) return {};
  return {
      "the time column " + in_quotes(time) + " is one time per item: is it the item's own? If it is when the " +
          "interactions were: " + columns_option("time", time.name, static_cast<size_t>(&time - columns.data()) + 1),
      Weight::kWhereTimesCount};
}

}  // namespace

TimeFault fault_of_times(const std::vector<SampledColumn>& columns, const std::vector<Column>& wanted) {
  const auto role = std::find_if(wanted.begin(), wanted.end(), [](const Column& one) { return one.what == "time"; });
  if (role == wanted.end()) return {};
  const SampledColumn* const time = column_of("time", columns, wanted);
  const bool of_day = time != nullptr && are_times_of_day(time->values);
  if (time != nullptr && !of_day && (are_dates(time->values) || !are_small_numbers(time->values)))
    return fault_of_items(*time, columns, wanted);
  std::vector<const SampledColumn*> dates;
  for (const SampledColumn& column : columns) {
    const bool other = std::any_of(wanted.begin(), wanted.end(),
                                   [&](const Column& one) { return &one != &*role && is_named(column, one); });
    if (&column != time && !other && are_dates(column.values)) dates.push_back(&column);
  }
  if (dates.empty()) return time == nullptr || of_day ? TimeFault{} : fault_of_numbers(*time, columns, wanted);
  const auto option = [&](const SampledColumn& column) {
    return columns_option("time", column.name, static_cast<size_t>(&column - columns.data()) + 1);
  };
  const std::string choice = option(*dates[0]);
  if (time == nullptr) {
    return {"no column is known as the time, but " + list_of(dates) + (dates.size() > 1 ? " hold" : " holds") +
                " dates; if they are when the interactions were: " + choice,
            Weight::kWhereTimesCount};
  }
  if (!of_day) {
    const SampledColumn* const users = column_of("user", columns, wanted);
    std::erase_if(dates, [&](const SampledColumn* column) { return agree(*time, *column, users); });
    if (dates.empty()) return {};
    return {"the time column " + in_quotes(*time) + " holds small numbers, which do not go up with the dates of " +
                list_of(dates) + "; say which is the time: " + option(*dates[0]) + " or " + option(*time),
            is_named(*dates[0], *role) ? Weight::kAlways : Weight::kWhereTimesCount};
  }
  return {"the time column " + in_quotes(*time) + " holds times of the day, and " + list_of(dates) +
              " the dates; write both into one column as 2018-07-04 22:09:11, or read the days alone: " + choice,
          Weight::kAlways};
}

}  // namespace cllm
