// How a TableReader understands a file by its first rows, and what it says of that.

#include <algorithm>
#include <array>
#include <optional>

#include "data/errors.h"
#include "data/ingest/files/input_files.h"
#include "data/ingest/reading/sample.h"
#include "data/ingest/reading/separator.h"
#include "data/ingest/reading/table_reader.h"
#include "data/ingest/reading/time_columns.h"
#include "data/ingest/values/columns.h"
#include "data/ingest/values/id_lists.h"
#include "data/ingest/values/json_row.h"
#include "data/ingest/values/late_texts.h"
#include "data/ingest/values/lookalikes.h"
#include "data/ingest/values/nested_json.h"
#include "data/ingest/values/parse.h"

namespace cllm {
namespace {

std::string joined(const std::vector<std::string>& names) {
  std::string out;
  for (const std::string& name : names) out += (out.empty() ? "" : ", ") + name;
  return out;
}

/// How to make a row per pair. `separator`: of a table of two columns without a header and quotes, else nothing.
std::string remedy_for_lists(const IdLists& lists, const std::string& name, size_t place,
                             const std::optional<std::string>& separator) {
  if (separator && place < 2) {
    const std::string list = std::to_string(place + 1), other = std::to_string(2 - place);
    const std::string pair = place == 1 ? "$" + other + " \"\\t\" i[n]" : "i[n] \"\\t\" $" + other;
    return "awk -F'" + (*separator == "\t" ? "\\t" : *separator) + "' '{m = split($" + list + ", i, \"" +
           lists.between + "\"); for (n = 1; n <= m; ++n) print " + pair + "}' OLD > interactions.tsv";
  }
  const std::string column = "t[" + cllm::quoted(name) + "]";
  const bool literal = lists.example.starts_with('[') && parse_json_line(lists.example).is_array();
  if (literal)
    return "with pandas: " + column + " = " + column + ".map(ast.literal_eval); t.explode(" + cllm::quoted(name) + ")";
  const std::string by = lists.between == " " ? "" : cllm::quoted(lists.between);
  return "with pandas: " + column + " = " + column + ".str.strip('[](){}').str.split(" + by + "); t.explode(" +
         cllm::quoted(name) + ")";
}

}  // namespace

void TableReader::refuse_lists(const Sample& sample) const {
  std::vector<size_t> ids;
  for (size_t n = 0; n < spec_.columns.size(); ++n) {
    if (spec_.columns[n].is_id() && placement_.places[n]) ids.push_back(n);
  }
  for (const size_t id : ids) records_.refuse_list(*placement_.places[id]);
  if (ids.size() != 2) return;
  const bool json = records_.is_json();
  const auto values = [&](size_t n) { return json ? ids_of(sample, keys_.name_of(n)) : ids_of(sample, placement_, n); };
  const std::array columns = {values(ids[0]), values(ids[1])};
  for (size_t n = 0; n < 2; ++n) {
    if (const auto rounded = mostly_rounded(columns[n]))
      throw DataError(records_.path().string() + ": the " + spec_.columns[ids[n]].what +
                      " of most rows is a number that a spreadsheet rounded, as " + cllm::quoted(*rounded) +
                      ", so that different ids are one; export the column as text");
    const auto lists = lists_of_ids(columns[n], columns[1 - n]);
    if (!lists) continue;
    const bool plain =
        !json && header_.empty() && width_ == 2 && lists->example.find_first_of("\"[({") == std::string::npos &&
        std::ranges::none_of(sample, [&](const auto& row) {
          return std::ranges::any_of(
              row, [&](const auto& cell) { return cell.find(records_.separator()) != std::string::npos; });
        });
    const size_t place = json ? 0 : *placement_.places[ids[n]];
    const std::string name = json ? keys_.name_of(ids[n]) : header_.empty() ? std::to_string(place) : header_[place];
    throw DataError(records_.path().string() + ": the " + spec_.columns[ids[n]].what + " of most rows is a list, as " +
                    cllm::quoted(lists->example) + ", and one id is expected; write a row per pair: " +
                    remedy_for_lists(*lists, name, place, plain ? std::optional(records_.separator()) : std::nullopt));
  }
}

void TableReader::understand() {
  Sample sample = read_sample(records_.path(), reading_, spec_.num_required());
  if (records_.is_json()) {
    if (spec_.by_values) {
      std::vector<std::string> lines;
      for (const auto& line : sample) lines.push_back(line[0]);
      refuse_nested(lines, spec_.columns, intake_.columns, records_.path());
    }
    const std::vector<SampledColumn> keys = columns_of(sample, /*json=*/true);
    placement_ = keys_.understand(keys, spec_, intake_.columns, records_.path().string());
    values_.resize(spec_.columns.size() + placement_.others.size());
    refuse_lists(sample);
    judge_labels(keys);
    tell_of_columns(keys);
    return judge_times(keys);
  }
  for (size_t n = 0; !sample.empty() && n < sample[0].size(); ++n) {
    if (!is_utf8(sample[0][n])) {
      throw DataError(records_.path().string() + ":1: not UTF-8: " + cllm::quoted(sample[0][n]) + "; " +
                      suggest_encoding(sample[0][n]));
    }
  }
  const bool numbered = !records_.is_columnar() && has_numbered_columns(sample);
  if (numbered) {
    if (!silent_)
      intake_.log.note(records_.path().filename().string() + ": not read: the first row, " + first_of(sample) +
                       ", pandas' header of columns without names");
    sample.erase(sample.begin());
  }
  placement_ = place_columns(sample, spec_, intake_.columns, records_.path().string(), records_.is_columnar());
  if (sample.empty()) return;
  width_ = sample[0].size();
  skip_first_ = placement_.has_header || numbered;
  first_row_ = sample[0];
  if (placement_.has_header) header_ = sample[0];
  const std::vector<SampledColumn> columns = columns_of(sample, /*json=*/false);
  prefer_filled(columns, spec_.columns, intake_.columns, placement_);
  refuse_lists(sample);
  judge_labels(columns);
  tell_of_columns(columns);
  judge_times(columns);
  if (!spec_.others) {
    for (const OtherColumn& other : placement_.others) placement_.unused.push_back(other.name);
    placement_.others.clear();
  }
  if (spec_.others && placement_.has_header) find_late_columns(columns);
  if (records_.is_columnar()) select_columns();
}

void TableReader::find_late_columns(const std::vector<SampledColumn>& columns) {
  for (size_t n = 0; n < columns.size(); ++n) {
    const bool used = std::ranges::find(placement_.places, std::optional(n)) != placement_.places.end() ||
                      std::ranges::find(placement_.others, n, &OtherColumn::place) != placement_.others.end();
    if (used || !holds_texts(columns[n].name, {"some text"})) continue;
    const bool empty = all_empty(columns[n].values);
    if (empty) std::erase(placement_.unused, columns[n].name);
    if (empty || !records_.is_columnar()) late_.push_back({columns[n].name, n, empty});
  }
}

/// "user=1,item=2,time=3": of --columns.
std::string TableReader::numbers_of_columns() const {
  std::string out;
  for (size_t n = 0; n < spec_.columns.size(); ++n) {
    if (const auto place = placement_.places[n])
      out += (out.empty() ? "" : ",") + spec_.columns[n].what + "=" + std::to_string(*place + 1);
  }
  return out;
}

/// Which columns are read, with the first value of the time, where names do not say it.
void TableReader::tell_of_columns(const std::vector<SampledColumn>& columns) const {
  if (!spec_.by_values || !placement_.has_header || silent_) return;
  std::string out;
  bool plain = true;
  for (size_t n = 0; n < spec_.columns.size(); ++n) {
    const std::string name(plain_name(name_of(n)));
    if (name.empty()) continue;
    plain = plain && folded(name) == folded(spec_.columns[n].what);
    out += (out.empty() ? ": " : ", ") + spec_.columns[n].what + " is " + cllm::quoted(name);
    const auto at = std::ranges::find(columns, name, &SampledColumn::name);
    if (spec_.columns[n].what != "time" || at == columns.end() || at->values.empty()) continue;
    out += " (" + cllm::quoted(at->values[0]) + ")";
  }
  if (!plain) intake_.log.note(records_.path().filename().string() + out);
}

void TableReader::judge_times(const std::vector<SampledColumn>& columns) const {
  const std::string file = records_.path().filename().string() + ": ";
  const bool chosen = intake_.columns.contains("time");
  for (size_t n = 0; n < spec_.columns.size() && !silent_; ++n) {
    if (spec_.columns[n].what != "time" || !placement_.places[n]) continue;
    const auto time = records_.is_json() ? std::ranges::find(columns, keys_.name_of(n), &SampledColumn::name)
                                         : columns.begin() + static_cast<std::ptrdiff_t>(*placement_.places[n]);
    bool by_habit = false;
    const std::string note = time == columns.end() ? "" : note_on_dates(time->values, &by_habit);
    if (note.empty()) continue;
    if (!by_habit && !chosen && intake_.needs_times)
      throw DataError(records_.path().string() + ": " + note + ", and if the month does: " +
                      (placement_.has_header ? columns_option("time", name_of(n), *placement_.places[n] + 1)
                                             : "--columns " + numbers_of_columns()));
    intake_.log.note(std::string(file).append(note));
  }
  if (!spec_.by_values || silent_ || chosen || !placement_.has_header || columns.empty()) return;
  const TimeFault fault = fault_of_times(columns, spec_.columns);
  if (fault.what.empty()) return;
  const bool always = fault.weight == TimeFault::Weight::kAlways;
  if (always || (intake_.needs_times && fault.weight == TimeFault::Weight::kWhereTimesCount))
    throw DataError(records_.path().string() + ":1: " + fault.what + (always ? "" : ", else --columns time=none"));
  intake_.log.note(file + fault.what);
}

/// What was shown and not clicked is no interaction: a column of 0 and 1 under such a name is asked about.
void TableReader::judge_labels(const std::vector<SampledColumn>& columns) const {
  static constexpr std::array<std::string_view, 14> kNames = {"isclick", "click",       "clicked",   "clk",     "label",
                                                              "target",  "ispurchased", "purchased", "bought",  "liked",
                                                              "isliked", "isread",      "read",      "relevant"};
  const auto rating = std::ranges::find(spec_.columns, "rating", &Column::what);
  if (!spec_.by_values || rating == spec_.columns.end() || !placement_.has_header) return;
  if (placement_.places[static_cast<size_t>(rating - spec_.columns.begin())] || intake_.columns.contains("rating"))
    return;
  for (const std::string_view name : kNames) {
    const auto at = std::ranges::find(columns, name, [](const SampledColumn& one) { return folded(one.name); });
    if (at == columns.end()) continue;
    size_t no = 0, yes = 0, others = 0;
    for (const std::string& value : at->values) {
      const std::string_view said = trimmed(value);
      const bool denies = said == "0" || said == "0.0" || said == "false" || said == "False";
      const bool affirms = said == "1" || said == "1.0" || said == "true" || said == "True";
      if (!is_no_value(said)) ++(denies ? no : affirms ? yes : others);
    }
    if (no == 0 || yes == 0 || others > 0) continue;
    const size_t number = static_cast<size_t>(at - columns.begin()) + 1;
    const bool numbers =
        std::ranges::any_of(at->values, [](const auto& value) { return parse_number(trimmed(value)).has_value(); });
    throw DataError(records_.path().string() + ":1: " + cllm::quoted(at->name) + " is " +
                    (numbers ? "0 and 1" : "false and true") + ", and what it denies would be an interaction, too; " +
                    (numbers ? "" : "write it as 0 and 1, and ") + "say " + columns_option("rating", at->name, number) +
                    " --rating-threshold 1 to leave those rows out, or --columns rating=none to read all");
  }
}

void TableReader::select_columns() {
  std::vector<ColumnUse> wanted(width_, ColumnUse::kNone);
  for (const OtherColumn& other : placement_.others) wanted[other.place] = ColumnUse::kText;
  for (const LateColumn& column : late_) wanted[column.place] = ColumnUse::kTextIfAny;
  for (size_t n = 0; n < spec_.columns.size(); ++n) {
    if (const auto place = placement_.places[n])
      wanted[*place] = spec_.columns[n].holds_one_value() ? ColumnUse::kValue : ColumnUse::kText;
  }
  records_.select(wanted);
  for (size_t n = 0; n < width_; ++n) {
    if (wanted[n] == ColumnUse::kNone) header_[n].clear();
  }
}

void TableReader::tell_about_parts(const std::filesystem::path& path) const {
  const auto empty = empty_parts(path);
  if (parts_.size() > 1) intake_.log.note(list_of_names(parts_) + ": read as one table, in this order");
  if (!empty.empty()) intake_.log.note(list_of_names(empty) + ": without any row");
  auto all = parts_.size() == 1 && records_.is_columnar() ? parquet_parts(parts_[0]) : parts_;
  all.insert(all.end(), empty.begin(), empty.end());
  std::string missing = missing_of_so_many(all);
  if (missing.empty() && all.size() > 1) missing = gap_in_parts(all);
  if (!missing.empty()) intake_.log.note(missing);
}

void TableReader::tell_about(const std::string& file) const {
  if (records_.unusual_separator()) {
    intake_.log.note(file + (records_.is_json()
                                 ? ": lines are objects of JSON, and read as such"
                                 : ": fields are separated by '" + name_of_separator(records_.separator()) + "'"));
  }
  if (records_.lines_above() > 0) {
    intake_.log.note(file + ": not read: " + std::to_string(records_.lines_above()) +
                     " line(s) of comments or titles above the rows");
  }
  if (!placement_.reading.empty()) intake_.log.note(file + " has no header: read as " + placement_.reading);
  if (!placement_.others.empty()) {
    std::vector<std::string> names;
    for (const OtherColumn& other : placement_.others) names.push_back(other.name);
    intake_.log.note(file + ": texts of the kinds " + joined(names) + " (named as their columns)");
  }
  if (!placement_.unused.empty()) intake_.log.note(file + ": not used: " + joined(placement_.unused));
  const Column part = column(Role::kPart);
  for (const std::string& name : placement_.unused) {
    if (std::ranges::find(part.names, folded(name)) == part.names.end()) continue;
    intake_.log.note(file + ": is " + cllm::quoted(name) + " the part (train, validation or test) of each row? " +
                     "--split FILE keeps it; FILE may be this one");
  }
}

void TableReader::tell_about_late_keys() const {
  if (silent_) return;
  const std::string file = records_.path().filename().string();
  const std::string texts = describe_late(records_.is_json() ? keys_.late() : late_, kSampleRows);
  if (!texts.empty()) intake_.log.note(file + ": " + texts);
  const std::string late = keys_.late_keys();
  if (late.empty()) return;
  intake_.log.note(file + ": not used: " + late + "; the first " + std::to_string(kSampleRows) +
                   " rows, by which a file is understood, have no such key");
}

}  // namespace cllm
