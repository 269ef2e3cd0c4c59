// Interactions without a header: what the columns behind the first two are, by their values.

#include <algorithm>
#include <map>
#include <set>

#include "data/errors.h"
#include "data/ingest/reading/header.h"
#include "data/ingest/reading/separator.h"
#include "data/ingest/reading/time_columns.h"
#include "data/ingest/values/column_values.h"
#include "data/ingest/values/moment.h"
#include "data/ingest/values/parse.h"

namespace cllm {
namespace {

Values kind_of(const Sample& sample, size_t column, size_t user) {
  ColumnValues values;
  for (const auto& row : sample) {
    if (row.size() == sample[0].size()) values.add(row[user], row[column]);  // else a bad row, later
  }
  return values.kind();
}

/// Item, user, rating, time: Amazon's ratings of 2018. Users are A and 9 or more capitals and digits, items ten of
/// them.
bool is_item_first(const Sample& sample) {
  const auto is_code = [](std::string_view text) {
    return std::all_of(text.begin(), text.end(),
                       [](char c) { return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z'); });
  };
  return std::all_of(sample.begin(), sample.end(), [&](const auto& row) {
    return row.size() > 1 && row[0].size() == 10 && is_code(row[0]) && row[0][0] != 'A' && row[1].size() >= 10 &&
           row[1].size() <= 22 && is_code(row[1]) && row[1][0] == 'A';
  });
}

std::string one_for_two(const std::string& number, const std::string& first, const std::string& second) {
  return "column " + number + " would be the " + first + " and the " + second + "; say both in --columns: " + first +
         "=" + number + "," + second + "=...";
}

void refuse_one_for_two(const TableSpec& spec, const std::string& where, const Placement& placement) {
  std::map<size_t, std::string> taken;
  for (size_t n = 0; n < spec.columns.size(); ++n) {
    const auto place = placement.places[n];
    if (!place) continue;
    const auto [other, is_new] = taken.emplace(*place, spec.columns[n].what);
    if (!is_new)
      throw DataError(where + ": " + one_for_two(std::to_string(*place + 1), other->second, spec.columns[n].what));
  }
}

/// The person's numbers, if there are any.
bool place_as_chosen(const TableSpec& spec, const ColumnChoices& choices, size_t width, const std::string& where,
                     Placement& placement) {
  if (std::ranges::all_of(choices, [](const auto& choice) { return choice.second == kNoColumn; })) return false;
  placement.places.assign(spec.columns.size(), std::nullopt);
  for (size_t n = 0; n < spec.columns.size(); ++n) {
    const auto choice = choices.find(spec.columns[n].what);
    if (choice == choices.end()) {
      if (spec.columns[n].required) placement.places[n] = n;  // user first, item second, unless told
      continue;
    }
    if (choice->second == kNoColumn) continue;
    const auto number = parse_number(choice->second);
    if (!number || *number < 1 || *number > static_cast<double>(width)) {
      throw DataError(where + ":1: no header that names '" + choice->second + "', which --columns wants; there are " +
                      std::to_string(width) + " columns: give its number from 1");
    }
    placement.places[n] = static_cast<size_t>(*number) - 1;
  }
  refuse_one_for_two(spec, where, placement);
  return true;
}

bool holds_times(const Sample& sample, size_t column) {
  size_t times = 0;
  for (const auto& row : sample) times += column < row.size() && is_time(trimmed(row[column])) ? 1 : 0;
  return times * 100 >= sample.size() * 99;
}

/// What a column behind user and item may be: left out, and where its values are numbers the time or a rating.
std::string option_for(const Sample& sample, size_t column) {
  std::string option = "--columns user=1,item=2";
  size_t numbers = 0;
  bool timed = false;
  for (const auto& row : sample) numbers += column < row.size() && parse_number(trimmed(row[column])) ? 1 : 0;
  for (size_t other = 2; other < sample[0].size() && !timed; ++other) {
    timed = other != column && holds_times(sample, other);
    if (timed) option += ",time=" + std::to_string(other + 1);
  }
  const std::string place = std::to_string(column + 1);
  option += " (leaves column " + place + " out)";
  if (numbers * 2 <= sample.size()) return option;
  return option + ", or the same with " + (timed ? "" : ",time=" + place + " or ") + ",rating=" + place;
}

/// The first column that is not the time is the user; of several others one is the item.
std::string option_for_time(size_t time, size_t columns) {
  std::vector<std::string> others;
  for (size_t column = 0; column < columns; ++column) {
    if (column != time) others.push_back(std::to_string(column + 1));
  }
  std::string option = "--columns user=" + others.front() + ",item=", note;
  if (others.size() == 2) {
    option += others.back();
  } else {
    option += "N";
    for (size_t n = 1; n < others.size(); ++n) note += (n > 1 ? ", " : " (N: the item's, one of ") + others[n];
    note += ")";
  }
  return option + ",time=" + std::to_string(time + 1) + note;
}

/// Of a table of more columns than user, item, time and rating.
std::string option_for_many(const Sample& sample, size_t width) {
  for (size_t column = 0; column < width; ++column) {
    std::vector<std::string> values;
    for (const auto& row : sample) values.push_back(column < row.size() ? row[column] : "");
    if (width > 2 && are_dates(values)) return option_for_time(column, width);
  }
  return "--columns user=1,item=2,time=..., without those that are not there";
}

[[noreturn]] void refuse(const Sample& sample, size_t column, const std::string& where, const std::string& problem) {
  std::string values;
  for (size_t row = 0; row < std::min<size_t>(3, sample.size()); ++row) {
    if (column < sample[row].size()) values += (row > 0 ? ", " : "") + cllm::quoted(sample[row][column]);
  }
  throw DataError(where + " has no header: is column " + std::to_string(column + 1) + " (" + values + ") the time? " +
                  problem + "; write a header (user, item, time, rating), or say " +
                  (column < 2 ? option_for_time(column, sample[0].size()) : option_for(sample, column)));
}

/// A line per user with all of his items, as LightGCN and others write it; as CiteULike does with their number first.
void refuse_lists(const Sample& sample, const std::string& where) {
  std::set<std::string_view> firsts;
  size_t other_widths = 0, counted = 0;
  for (const auto& row : sample) {
    firsts.insert(row[0]);
    other_widths += row.size() != sample[0].size() ? 1 : 0;
    counted += row[0] == std::to_string(row.size() - 1) ? 1 : 0;
  }
  constexpr size_t kEnough = 3, kNoTable = 5;  // columns: user, item, time and rating are fewer
  const bool one_width = firsts.size() == 1 && sample[0].size() < kNoTable;
  if (counted == sample.size() && sample.size() >= kEnough && !one_width) {
    throw DataError(where + ": lines 'number item item ...', a user per line (CiteULike)? Write a line per pair: " +
                    "awk '{for (n = 2; n <= NF; ++n) print NR \"\\t\" $n}' OLD > interactions.tsv");
  }
  if (firsts.size() != sample.size() || other_widths * 4 < sample.size()) return;
  const bool valued = sample[0].size() > 1 && sample[0][1].find(':') != std::string::npos;  // libsvm
  const bool marked = sample[0][0].ends_with(':');
  throw DataError(
      where + ": lines of different widths and none begins as another does; lists 'user item item ...'? " +
      "Write a line per pair: awk '{" + (marked ? "sub(/:$/, \"\", $1); " : "") + "for (n = 2; n <= NF; ++n) " +
      (valued ? "{split($n, i, \":\"); print $1 \"\\t\" i[1]}" : "print $1 \"\\t\" $n") + "}' OLD > interactions.tsv");
}

/// Blocks of lines: `1:` and the ratings of that item (Netflix), `product/productId: ...` (SNAP's reviews).
void refuse_blocks(const Sample& sample, const std::string& where) {
  const std::string& first = sample[0][0];
  const bool number = first.size() > 1 && first.ends_with(':') &&
                      std::all_of(first.begin(), first.end() - 1, [](char c) { return c >= '0' && c <= '9'; });
  if (number && sample[0].size() == 1) {
    throw DataError(where + ":1: " + cllm::quoted(first) +
                    " heads a block of an item's rows (Netflix); write tables: " +
                    "awk -F, '/:$/ {i = substr($1, 1, length($1) - 1); next} {print $1 \",\" i \",\" $3 \",\" $2}' " +
                    "OLD > interactions.csv (user, item, time, rating)");
  }
  if (first.starts_with("product/productId:")) {
    throw DataError(where + ":1: " + cllm::quoted(first) + " is one field of a review per line (SNAP); write tables: " +
                    "awk -F': ' '/productId/ {i = $2} /userId/ {u = $2} /score/ {r = $2} " +
                    "/review.time/ {print u \"\\t\" i \"\\t\" $2 \"\\t\" r}' OLD > interactions.tsv");
  }
}

/// One field above rows of several of them.
std::string hint_of_title(const Sample& sample) {
  if (sample.size() < 2 || sample[0].size() != 1 || sample[1].size() < 2) return "";
  return "; line 2 has " + std::to_string(sample[1].size()) +
         " columns: if the first is a title, take it out: tail -n +2 OLD";
}

/// The first columns are a user and an item, and no times.
void refuse_dates(const Sample& sample, size_t columns, const std::string& where) {
  for (size_t column = 0; column < columns; ++column) {
    size_t dates = 0;
    for (const auto& row : sample) dates += column < row.size() && parse_date(row[column]) ? 1 : 0;
    if (dates * 2 > sample.size()) refuse(sample, column, where, "user and item are expected there");
  }
}

/// Words that stand nowhere else in their columns: a header in words of its own, or a row?
void refuse_what_may_be_names(const Sample& sample, const std::string& where) {
  constexpr size_t kLeast = 2;
  const auto has_digit = [](const std::string& cell) {
    return std::ranges::any_of(cell, [](char c) { return c >= '0' && c <= '9'; });
  };
  const auto stands_again = [&](size_t column) {
    return std::any_of(sample.begin() + 1, sample.end(),
                       [&](const auto& row) { return column < row.size() && row[column] == sample[0][column]; });
  };
  if (sample.size() < 3 || std::ranges::any_of(sample[0], has_digit) || stands_again(0) || stands_again(1)) return;
  std::string columns;
  for (size_t column = 0; column < kLeast; ++column)
    columns +=
        (column == 0 ? "user=" : ",item=") +
        (trimmed(sample[0][column]).empty() ? std::to_string(column + 1) : std::string(trimmed(sample[0][column])));
  throw DataError(where + ":1: no header that names 'user' and 'item'; " + first_of(sample) +
                  " may be one in other words: say --columns " + columns +
                  ", or, if it is a row of data, --columns user=1,item=2");
}

}  // namespace

void place_by_values(const Sample& sample, const TableSpec& spec, const ColumnChoices& choices,
                     const std::string& where, Placement& placement) {
  const size_t width = sample[0].size();
  refuse_blocks(sample, where);
  refuse_lists(sample, where);
  if (place_as_chosen(spec, choices, width, where, placement)) return;
  constexpr size_t kLeast = 2, kMost = 4;
  if (width < kLeast || width > kMost) {
    throw DataError(where + ":1: " + std::to_string(width) + " columns and no header that names 'user' and 'item' (" +
                    first_of(sample) + ")" +
                    (width < kLeast ? hint_of_separator(sample) + hint_of_title(sample)
                                    : "; write one, or say " + option_for_many(sample, width)));
  }
  refuse_what_may_be_names(sample, where);
  placement.places.assign(spec.columns.size(), std::nullopt);
  const bool item_first = width == kMost && is_item_first(sample);
  placement.places[0] = item_first ? 1 : 0;
  placement.places[1] = item_first ? 0 : 1;
  std::vector<std::string> names(width, "not used");
  names[*placement.places[0]] = "user";
  names[*placement.places[1]] = "item";
  refuse_dates(sample, kLeast, where);
  const auto put = [&](const std::string& what, size_t column) {
    if (choices.contains(what == "order" ? "time" : what)) return;  // none
    names[column] = what == "order" ? "order (as the time)" : what;
    for (size_t n = 0; n < spec.columns.size(); ++n) {
      if (spec.columns[n].what == (what == "order" ? "time" : what)) placement.places[n] = column;
    }
  };
  size_t times = 0, ratings = 0;
  std::vector<size_t> small, counts;
  for (size_t column = kLeast; column < width; ++column) {
    const Values kind = kind_of(sample, column, *placement.places[0]);
    if (kind == Values::kSmall) small.push_back(column);
    if (kind == Values::kCount) counts.push_back(column);
    if (kind == Values::kOther) refuse(sample, column, where, "its values are no times, and no ratings from 0 to 10");
    if (kind == Values::kTime || kind == Values::kOrder) {
      if (++times > 1) refuse(sample, column, where, "column " + std::to_string(column) + " looks like one, too");
      put(kind == Values::kTime ? "time" : "order", column);
    }
    if (kind == Values::kRating) {
      if (++ratings > 1) refuse(sample, column, where, "both columns look like ratings");
      put("rating", column);
    }
  }
  if (counts.size() == 1 && times == 0) {
    ++times;
    put("order", counts[0]);
  } else {
    small.insert(small.end(), counts.begin(), counts.end());
  }
  for (const size_t column : small) {
    if (small.size() > 1 || times != 1) refuse(sample, column, where, "its values may be ratings or an order");
    put("rating", column);
  }
  for (const std::string& name : names) placement.reading += (placement.reading.empty() ? "" : ", ") + name;
}

}  // namespace cllm
