#include "data/ingest/reading/header.h"

#include <algorithm>
#include <array>

#include "data/errors.h"
#include "data/ingest/values/moment.h"
#include "data/ingest/values/parse.h"

namespace cllm {
namespace {

using Row = std::vector<std::string>;

bool is_number_or_date(std::string_view cell) {
  cell = trimmed(cell);
  return !cell.empty() && (parse_number(cell) || parse_date(cell));
}

/// A place that the person gave as a number from 1.
std::optional<size_t> as_place(const std::string& choice, size_t width) {
  const auto number = parse_number(choice);
  if (!number || *number < 1 || *number > static_cast<double>(width) || *number != static_cast<double>(size_t(*number)))
    return {};
  return static_cast<size_t>(*number) - 1;
}

/// Tries the first row as a header.
class Header {
 public:
  Header(const Row& row, const TableSpec& spec, const ColumnChoices& choices) {
    for (const std::string& cell : row) names_.push_back(folded(cell));
    claimed_.resize(row.size());
    for (const Column& column : spec.columns) {
      const auto choice = choices.find(column.what);
      if (choice != choices.end() && choice->second == kNoColumn) {
        places.emplace_back();
        continue;
      }
      places.push_back(choice == choices.end() ? find(column.names) : chosen(choice->second, column, spec.by_values));
      if (places.back()) claimed_[*places.back()] = true;
      known += places.back() ? 1 : 0;
      numbered += places.back() && choice != choices.end() && !find_anywhere(folded(choice->second)) ? 1 : 0;
      if (!places.back() && (column.required || (choice != choices.end() && spec.by_values)))
        missing.push_back(choice != choices.end() && spec.by_values ? choice->second : column.what);
    }
    for (const std::string& name : names_) familiar += is_known_name(name) ? 1 : 0;
  }
  bool is_claimed(size_t place) const { return claimed_[place]; }

  std::vector<std::optional<size_t>> places;
  std::vector<std::string> missing;
  size_t known = 0, familiar = 0;  // cells that are wanted; that some table wants
  size_t numbered = 0;             // of the known ones those that were chosen by a number, not a name

 private:
  bool find_anywhere(const std::string& name) const { return std::ranges::find(names_, name) != names_.end(); }
  /// "day" beside "month" or "year": a part of a date.
  bool is_part_of_date(const std::string& name) const {
    return name == "day" && (find_anywhere("month") || find_anywhere("year"));
  }
  std::optional<size_t> find(const std::vector<std::string>& wanted) const {
    for (const std::string& name : wanted) {
      for (size_t n = 0; n < names_.size(); ++n) {
        if (names_[n] == name && !claimed_[n] && !is_part_of_date(name)) return n;
      }
    }
    return {};
  }
  /// In a table other than that of interactions the choice is one more name.
  std::optional<size_t> chosen(const std::string& choice, const Column& column, bool only) const {
    auto place = find({folded(choice)});
    if (!place && only) return as_place(choice, names_.size());
    return place ? place : find(column.names);
  }

  std::vector<std::string> names_;
  std::vector<bool> claimed_;
};

bool has_numbers(const Row& row) { return std::any_of(row.begin(), row.end(), is_number_or_date); }

/// Is there a column of numbers whose first cell is a word?
bool heads_a_column_of_numbers(const Sample& sample) {
  const auto numbers_below = [&](size_t column) {
    size_t numbers = 0;
    for (size_t row = 1; row < sample.size(); ++row) {
      if (column >= sample[row].size() || sample[row][column].empty()) continue;
      if (!is_number_or_date(sample[row][column])) return false;
      ++numbers;
    }
    return numbers > 0;
  };
  for (size_t column = 0; column < sample[0].size(); ++column) {
    if (!sample[0][column].empty() && numbers_below(column)) return true;
  }
  return false;
}

/// Is there a column of ids that all have digits, but for a word in the first row?
bool heads_a_column_of_ids(const Sample& sample, const TableSpec& spec) {
  const auto has_digit = [](const std::string& cell) {
    return std::any_of(cell.begin(), cell.end(), [](char c) { return c >= '0' && c <= '9'; });
  };
  constexpr size_t kEnough = 2;
  for (size_t n = 0; n < std::min(spec.columns.size(), sample[0].size()); ++n) {
    const bool ids = spec.columns[n].what == "user" || spec.columns[n].what == "item";
    if (!ids || sample[0][n].empty() || has_digit(sample[0][n])) continue;
    size_t with_digits = 0, without = 0;
    for (size_t row = 1; row < sample.size(); ++row) {
      if (n < sample[row].size() && !sample[row][n].empty()) ++(has_digit(sample[row][n]) ? with_digits : without);
    }
    if (with_digits >= kEnough && without == 0) return true;
  }
  return false;
}

/// Two columns of one name: which of them is meant nobody knows.
void refuse_twins(const Row& names, const TableSpec& spec, const ColumnChoices& choices, const Header& header,
                  const std::string& where) {
  for (size_t n = 0; n < spec.columns.size(); ++n) {
    if (!header.places[n] || choices.contains(spec.columns[n].what)) continue;
    const size_t place = *header.places[n];
    for (size_t other = place + 1; other < names.size(); ++other) {
      if (folded(names[other]) != folded(names[place])) continue;
      throw DataError(where + ":1: the header names " + quoted(names[place]) + " twice, columns " +
                      std::to_string(place + 1) + " and " + std::to_string(other + 1) +
                      "; take one out, or say which it is: --columns " + spec.columns[n].what + "=" +
                      std::to_string(place + 1));
    }
  }
}

/// A column of ids, or of the parts of a split: words too, but nobody's texts.
bool names_no_texts(std::string_view name) {
  static const std::array kNames = {column(Role::kPart).names, column(Role::kUser).names, column(Role::kItem).names};
  name = plain_name(name);
  const auto ends = [&](std::string_view with) { return name.ends_with(with); };
  return name == "id" || ends("_id") || ends("-id") || ends(" id") || ends(".id") || ends("Id") || ends("ID") ||
         ends("uuid") || ends("hash") || std::ranges::any_of(kNames, [&](const std::vector<std::string>& names) {
           return std::ranges::find(names, folded(name)) != names.end();
         });
}

bool look_like_texts(const std::vector<std::string_view>& values) {
  size_t texts = 0, others = 0, bytes = 0;
  for (std::string_view value : values) {
    value = trimmed(value);
    if (is_no_value(value)) continue;
    const bool text = reads_as_text(value);
    (text ? texts : others) += 1;
    bytes += text ? value.size() : 0;
  }
  constexpr size_t kShortest = 3;  // M and F, US and DE are codes
  return texts > others && bytes >= kShortest * texts;
}

void add_others(const Sample& sample, const Header& header, Placement& placement) {
  for (size_t place = 0; place < sample[0].size(); ++place) {
    if (header.is_claimed(place)) continue;
    std::vector<std::string_view> values;
    for (size_t row = 1; row < sample.size(); ++row) {
      if (place < sample[row].size()) values.push_back(sample[row][place]);
    }
    std::string name(plain_name(sample[0][place]));
    if (name.empty()) name = "column " + std::to_string(place + 1) + " (no name)";
    if (holds_texts(sample[0][place], values)) {
      placement.others.push_back({name, place});
    } else {
      placement.unused.push_back(name);
    }
  }
}

/// Could it be a name that a header has: short, and letters only?
bool may_be_a_name(const std::string& cell) {
  constexpr size_t kLongest = 40;
  return !cell.empty() && cell.size() <= kLongest &&
         std::ranges::none_of(cell, [](char c) { return c == ' ' || (c >= '0' && c <= '9'); });
}

/// Does the first row hold names alone, above a column of sentences?
bool heads_a_column_of_sentences(const Sample& sample) {
  if (!std::ranges::all_of(sample[0], may_be_a_name)) return false;
  for (size_t column = 0; column < sample[0].size(); ++column) {
    size_t cells = 0, sentences = 0;
    for (size_t row = 1; row < sample.size(); ++row) {
      if (column >= sample[row].size() || sample[row][column].empty()) continue;
      ++cells;
      sentences += sample[row][column].find(' ') != std::string::npos ? 1 : 0;
    }
    if (sentences * 2 > cells) return true;
  }
  return false;
}

void place_by_position(const Sample& sample, const TableSpec& spec, const std::string& where, Placement& placement) {
  const size_t width = sample[0].size();
  const auto required =
      std::count_if(spec.columns.begin(), spec.columns.end(), [](const Column& c) { return c.required; });
  if (static_cast<size_t>(required) > width || width > spec.columns.size()) {
    throw DataError(where + ":1: " + std::to_string(width) + " columns and no header that names '" +
                    spec.columns[0].what + "' (" + first_of(sample) +
                    "); write one as the first line, or see data/ingest/README.md for the columns");
  }
  for (size_t n = 0; n < spec.columns.size(); ++n)
    placement.places.push_back(n < width ? std::optional(n) : std::nullopt);
}

}  // namespace

std::string first_of(const Sample& sample) {
  std::string row;
  for (const std::string& cell : sample[0]) row += (row.empty() ? "" : " ") + cell;
  return quoted(row);
}

std::string missing_column(const std::vector<std::string>& missing, const std::vector<std::string>& there,
                           const ColumnChoices& choices) {
  std::string option = missing[0];
  for (const auto& [what, name] : choices) {
    if (name == missing[0]) option = what;
  }
  std::string out = "without a column ";
  for (size_t n = 0; n < missing.size(); ++n) out += (n > 0 ? " and '" : "'") + missing[n] + "'";
  out += " (it has ";
  constexpr size_t kMost = 20;
  for (size_t n = 0; n < std::min(there.size(), kMost); ++n) {
    const std::string name = quoted(there[n]);
    out += (n > 0 ? ", " : "") + name.substr(1, name.size() - 2);
  }
  const bool number = std::ranges::all_of(missing[0], [](char c) { return c >= '0' && c <= '9'; });
  return out + (there.size() > kMost ? ", ...)" : ")") +
         (number ? "; there are " + std::to_string(there.size()) + " columns" : "") +
         "; rename one, or say which it is: --columns " + option + "=NAME (or its number from 1)";
}

bool reads_as_text(std::string_view value) {
  value = trimmed(value);
  const bool flag = value == "true" || value == "false" || value == "True" || value == "False";
  const bool address = value.starts_with("http://") || value.starts_with("https://");
  const bool letters = std::any_of(value.begin(), value.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || static_cast<unsigned char>(c) >= 0x80;
  });
  return letters && !flag && !address && !is_no_value(value) && !is_number_or_date(value);
}

bool holds_texts(std::string_view name, const std::vector<std::string_view>& values) {
  return !names_no_texts(name) && look_like_texts(values);
}

Placement place_columns(const Sample& sample, const TableSpec& spec, const ColumnChoices& choices,
                        const std::string& where, bool has_names) {
  Placement placement;
  if (sample.empty()) {
    for (size_t n = 0; n < spec.columns.size(); ++n) placement.places.push_back(n);
    return placement;
  }
  const Header header(sample[0], spec, choices);
  const bool numbered = header.known > 0 && header.numbered == header.known;
  const bool named =
      has_names || header.familiar > 0 || (!has_numbers(sample[0]) && (!numbered || heads_a_column_of_numbers(sample)));
  if ((header.known > 0 || has_names) && header.missing.empty() && named) {
    placement.has_header = true;
    placement.places = header.places;
    refuse_twins(sample[0], spec, choices, header, where);
    add_others(sample, header, placement);
    return placement;
  }
  const size_t enough = spec.by_values ? 1 : 2;
  if (!spec.by_values && !has_names && !header.missing.empty() && heads_a_column_of_sentences(sample)) {
    throw DataError(where + ":1: header " + missing_column(header.missing, sample[0], choices) +
                    "; if it is a row of data, write a header above it");
  }
  const bool words =
      !has_numbers(sample[0]) &&
      (header.known >= enough || header.familiar >= enough ||
       (spec.by_values ? !numbered && heads_a_column_of_numbers(sample) : heads_a_column_of_ids(sample, spec)));
  if (has_names || words) {
    throw DataError(where + ":1: header " + missing_column(header.missing, sample[0], choices));
  }
  if (spec.by_values) {
    place_by_values(sample, spec, choices, where, placement);
  } else {
    place_by_position(sample, spec, where, placement);
  }
  return placement;
}

}  // namespace cllm
