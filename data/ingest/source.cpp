#include "data/ingest/source.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "data/ingest/formats/id_columns.h"
#include "data/ingest/values/parse.h"
#include "data/ingest/values/scanner.h"

namespace cllm {
namespace {

enum Place : size_t { kUserAt, kItemAt, kTimeAt, kRatingAt, kTextAt };

/// False if the row is bad, and reported.
bool read_time(const TableReader& rows, InteractionRow& row) {
  if (const auto whole = rows.facts(kTimeAt).whole) {
    row.time = Moment{*whole, 0};
    return true;
  }
  const std::string_view text = trimmed(rows.field(kTimeAt));
  if (is_no_value(text)) return true;
  row.time = parse_count(text);
  row.time_is_date = !row.time;
  if (!row.time) row.time = parse_date(text);
  if (!row.time) {
    rows.report(Problem::kNumber,
                "time " + quoted(text) + " is no number or date; read are " + std::string(kMomentForms));
  }
  return row.time.has_value();
}

bool read_rating(const TableReader& rows, std::optional<double>& rating) {
  const std::string_view text = trimmed(rows.field(kRatingAt));
  if (is_no_value(text)) return true;
  rating = parse_number(text);
  if (rating && std::abs(*rating) <= std::numeric_limits<float>::max()) return true;
  const bool comma = std::ranges::count(text, ',') == 1 && is_digit(text.front()) && is_digit(text.back());
  rows.report(Problem::kNumber, "rating " + quoted(text) + " is no number; " +
                                    (comma ? "if that is a decimal comma, write points (pandas: read_csv(..., " +
                                                 std::string("decimal=','), to_csv); ")
                                           : "") +
                                    "--columns rating=none leaves ratings out");
  return false;
}

}  // namespace

TableSpec interaction_table() {
  return {{column(Role::kUser), column(Role::kItem), column(Role::kTime, false), column(Role::kRating, false),
           column(Role::kText, false)},
          true,
          false};
}

ReadInteractions read_interaction_table(const std::filesystem::path& path, const TableSpec& table, RowSink& sink,
                                        Intake& intake) {
  TableReader rows(path, table, intake);
  while (rows.next()) {
    InteractionRow row{rows.field(kUserAt), rows.field(kItemAt), {}, {}, rows.origin(),
                       rows.facts(kUserAt), rows.facts(kItemAt)};
    if (read_time(rows, row) && read_rating(rows, row.rating)) sink.interaction(row);
  }
  return {rows.has(kTextAt), rows.name_of(kUserAt), rows.name_of(kItemAt)};
}

void read_pair_texts(const std::filesystem::path& path, const TableSpec& table, RowSink& sink, Intake& intake) {
  TableReader rows(path, table, intake);
  while (rows.next())
    sink.text({rows.field(kUserAt), rows.field(kItemAt), "review", rows.field(kTextAt), rows.origin()});
}

void read_text_table(const std::filesystem::path& path, const TextTable& table, RowSink& sink, Intake& intake) {
  TableSpec spec;
  spec.others = table.others;
  if (table.user) spec.columns.push_back(*table.user);
  if (table.item) spec.columns.push_back(*table.item);
  const size_t first_text = spec.columns.size();
  spec.columns.insert(spec.columns.end(), table.texts.begin(), table.texts.end());
  TableReader rows(path, std::move(spec), intake);
  if (table.user) tell_of_other_ids(rows, 0, *table.user, Role::kUser, intake.log);
  if (table.item) tell_of_other_ids(rows, first_text - 1, *table.item, Role::kItem, intake.log);
  while (rows.next()) {
    TextRow row;
    row.origin = rows.origin();
    if (table.user) row.user = rows.field(0);
    if (table.item) row.item = rows.field(first_text - 1);
    for (size_t n = 0; n < table.texts.size(); ++n) {
      row.kind = table.texts[n].what;
      if (row.kind.empty()) continue;
      row.text = rows.field(first_text + n);
      sink.text(row);
    }
    for (size_t n = 0; n < rows.others().size(); ++n) {
      row.kind = rows.others()[n].name;
      row.text = rows.other(n);
      sink.text(row);
    }
  }
}

}  // namespace cllm
