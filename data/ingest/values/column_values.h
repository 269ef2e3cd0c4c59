#pragma once

#include <cstddef>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace cllm {

/// What the values of a column behind user and item look like.
enum class Values {
  kTime,      // dates, or numbers of 9 to 13 digits
  kRating,    // 0 .. 10, with points or the same for several items of a user
  kCount,     // 0 .. 10, every user's count up from 0 or 1 in the file: an order, if nothing else is the time
  kSmall,     // 0 .. 10, every user's differ: a rating, or an order
  kOrder,     // every user's go up in the file, or are consecutive, and go beyond 10
  kConstant,  // one number everywhere: says nothing
  kOther
};

/// A date, or a number of 9 to 13 digits.
bool is_time(std::string_view cell);

/// A column's values in the order of the file, those that are there; one in a hundred may be unlike the others.
class ColumnValues {
 public:
  /// Views must outlive the object.
  void add(std::string_view user, std::string_view cell);
  Values kind() const;

 private:
  bool differ() const;
  bool go_up_or_are_consecutive() const;
  bool count_up() const;

  std::map<std::string_view, std::vector<double>> of_user_;
  size_t rows_ = 0, times_ = 0, numbers_ = 0, with_point_ = 0, beyond_ten_ = 0;
  bool constant_ = true;
  std::string_view first_;
};

}  // namespace cllm
