#include "data/ingest/values/days.h"

#include <chrono>
#include <cstdio>

namespace cllm {

std::string day_of(int64_t seconds) {
  const std::chrono::sys_days days(std::chrono::floor<std::chrono::days>(std::chrono::seconds(seconds)));
  const std::chrono::year_month_day day(days);
  char text[32];
  std::snprintf(text, sizeof text, "%04d-%02u-%02u", static_cast<int>(day.year()), static_cast<unsigned>(day.month()),
                static_cast<unsigned>(day.day()));
  return text;
}

bool is_written_day(int64_t number) {
  constexpr int64_t kFirst = 19700101, kLast = 20691231;
  const int64_t month = number / 100 % 100, day = number % 100;
  return number >= kFirst && number <= kLast && month >= 1 && month <= 12 && day >= 1 && day <= 31;
}

}  // namespace cllm
