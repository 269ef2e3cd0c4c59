#include "data/ingest/values/column_values.h"

#include <algorithm>

#include "data/ingest/values/moment.h"
#include "data/ingest/values/parse.h"

namespace cllm {

bool is_time(std::string_view cell) {
  const size_t digits = std::min(cell.find('.'), cell.size());
  const bool number = std::all_of(cell.begin(), cell.begin() + static_cast<std::ptrdiff_t>(digits),
                                  [](char c) { return c >= '0' && c <= '9'; });
  if (number && digits >= 9 && digits <= 13) return parse_number(cell).has_value();
  return parse_date(cell).has_value();
}

void ColumnValues::add(std::string_view user, std::string_view cell) {
  cell = trimmed(cell);
  if (is_no_value(cell)) return;
  ++rows_;
  times_ += is_time(cell) ? 1 : 0;
  const auto number = parse_number(cell);
  if (!number) return;
  ++numbers_;
  with_point_ += cell.find('.') != std::string_view::npos ? 1 : 0;
  beyond_ten_ += *number < 0 || *number > 10 ? 1 : 0;
  if (first_.empty()) first_ = cell;
  constant_ = constant_ && cell == first_;
  of_user_[user].push_back(*number);
}

/// All of a user's values differ, of everybody.
bool ColumnValues::differ() const {
  return std::ranges::all_of(of_user_, [](const auto& user) {
    auto values = user.second;
    std::sort(values.begin(), values.end());
    return std::adjacent_find(values.begin(), values.end()) == values.end();
  });
}

bool ColumnValues::go_up_or_are_consecutive() const {
  bool any = false;
  for (const auto& [user, values] : of_user_) {
    if (values.size() < 2) continue;
    any = true;
    const auto [least, most] = std::minmax_element(values.begin(), values.end());
    const bool consecutive = *most - *least + 1 == static_cast<double>(values.size());
    if (!consecutive && !std::is_sorted(values.begin(), values.end())) return false;
  }
  return any;
}

bool ColumnValues::count_up() const {
  constexpr size_t kEnough = 3;  // of one user, at least: two ratings may well follow each other
  size_t longest = 0;
  for (const auto& [user, values] : of_user_) {
    longest = std::max(longest, values.size());
    if (values[0] != 0 && values[0] != 1) return false;
    for (size_t n = 1; n < values.size(); ++n) {
      if (values[n] != values[n - 1] + 1) return false;
    }
  }
  return longest >= kEnough;
}

Values ColumnValues::kind() const {
  const auto nearly_all = [&](size_t count) { return rows_ > 0 && (rows_ - count) * 100 <= rows_; };
  if (nearly_all(times_)) return Values::kTime;
  if (!nearly_all(numbers_)) return Values::kOther;
  if (constant_ && rows_ > 1) return Values::kConstant;
  const bool up_to_ten = nearly_all(numbers_ - beyond_ten_);
  if (up_to_ten && (with_point_ > 0 || !differ())) return Values::kRating;
  if (up_to_ten) return count_up() ? Values::kCount : Values::kSmall;
  return with_point_ == 0 && differ() && go_up_or_are_consecutive() ? Values::kOrder : Values::kOther;
}

}  // namespace cllm
