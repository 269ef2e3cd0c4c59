#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "data/ingest/reading/header.h"
#include "data/ingest/reading/json_keys.h"
#include "data/ingest/reading/problems.h"
#include "data/ingest/reading/record_reader.h"
#include "data/ingest/values/late_texts.h"

namespace cllm {

/// Where rows are counted and reported while files are read, and how they are read.
struct Intake {
  ProblemLog& log;
  std::function<void(uint64_t)> on_bytes;  // further bytes of input read; may be empty
  ReadingOptions reading{};
  ColumnChoices columns{};
  bool needs_times = false;  // the split is by order: a column that may hold the times must not be left out
};

/// Rows of a table by wanted columns, whatever the file is (record_reader.h). The first row is read as a header where
/// it is one (header.h), JSON keys are read the same way (json_keys.h); objects: nothing, but {"$date": ...} and the
/// like of MongoDB; arrays are joined with ", ", where one value is wanted a row of several is bad; NaN is no value;
/// Python literals are accepted, too. All rows must be as wide as the first. Bad rows go to the log and are skipped:
/// another width, a header again, a quote that is never closed, no UTF-8. What a person should know (how a file without
/// a header was read, columns that are not used) goes to the log as a note. A table of parts (input_parts()) is
/// understood by the first of them; the others may begin with its header again.
class TableReader {
 public:
  TableReader(const std::filesystem::path& path, TableSpec spec, Intake& intake);

  bool next();                                  // false at the end
  std::string_view field(size_t column) const;  // empty if the row has none; valid until next()
  CellFacts facts(size_t column) const;         // of the field
  /// Other columns that hold texts, of a spec that asks for them, and this row's values.
  const std::vector<OtherColumn>& others() const { return placement_.others; }
  std::string_view other(size_t n) const;
  bool has(size_t column) const { return placement_.places[column].has_value(); }
  const Placement& placement() const { return placement_; }
  std::string name_of(size_t column) const;  // in the header, or its key; empty: none
  Origin origin() const { return origin_; }
  void report(Problem problem, const std::string& detail) const;  // about the current row

 private:
  void understand();
  std::string numbers_of_columns() const;
  void tell_of_columns(const std::vector<SampledColumn>& columns) const;
  void judge_labels(const std::vector<SampledColumn>& columns) const;
  void judge_times(const std::vector<SampledColumn>& columns) const;
  void find_late_columns(const std::vector<SampledColumn>& columns);
  void refuse_lists(const Sample& sample) const;
  void select_columns();
  void tell_about_parts(const std::filesystem::path& path) const;
  void tell_about(const std::string& file) const;
  bool open_next_part();
  bool is_header_of_part();
  bool parse_record();
  bool parse_json();
  bool has_list_for_id() const;
  void report_list(size_t column, std::string_view elements, const std::string& remedy) const;
  void watch_late_columns();
  void tell_about_late_keys() const;
  bool is_header_again() const;

  TableSpec spec_;
  Intake& intake_;
  std::vector<std::filesystem::path> parts_;  // of the table, mostly one
  size_t part_ = 0;
  ReadingOptions reading_;
  RecordReader records_;
  Placement placement_;
  bool silent_ = false;  // the file was read before: its problems are known
  Origin origin_;
  std::vector<std::string> header_;  // the first row, if it is one
  size_t width_ = 0;
  std::vector<std::string> first_row_;
  bool skip_first_ = false, begins_part_ = false, quote_noted_ = false;
  std::vector<std::string> values_;  // JSON, by column, then others
  JsonKeys keys_;
  std::vector<LateColumn> late_;  // of other files
  uint64_t bytes_reported_ = 0;
};

}  // namespace cllm
