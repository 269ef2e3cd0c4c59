#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "data/ingest/reading/line_reader.h"
#include "data/ingest/reading/problems.h"

namespace cllm {

/// A column that a reader wants. `names` are what a header or a JSON key may call it, the first that a row has wins.
struct Column {
  std::vector<std::string> names;
  bool required = true;
};

/// Where rows are counted and reported while files are read.
struct Intake {
  ProblemLog& log;
  std::function<void(uint64_t)> on_bytes;  // further bytes of input read; may be empty
};

/// Rows of a table by wanted columns, whatever the file is, told by its name (.gz allowed):
///   .tsv, .txt    tab-separated, no quoting          .csv   RFC 4180, quoted fields may hold commas and line ends
///   .jsonl, .json one JSON object per line; arrays are joined with ", "; Python literals are accepted, too
/// A first row of a TSV or CSV file that consists of column names only is a header; without one the columns come in the
/// wanted order, and trailing optional ones may be missing. All rows must be as wide as the first. Bad rows go to the
/// log and are skipped.
class TableReader {
 public:
  TableReader(const std::filesystem::path& path, std::vector<Column> columns, Intake& intake);

  bool next();                                  // false at the end
  std::string_view field(size_t column) const;  // empty if the row has none; valid until next()
  Origin origin() const { return origin_; }
  void report(Problem problem, const std::string& detail) const;  // about the current row

 private:
  enum class Kind { kTsv, kCsv, kJson };
  bool next_record();
  bool parse_record();
  bool parse_json();
  void split_tsv();
  void split_csv();
  void join_quoted_lines();
  void read_header();
  void use_as_header();
  std::optional<size_t> column_named(std::string_view name) const;

  std::vector<Column> columns_;
  Intake& intake_;
  LineReader lines_;
  Kind kind_;
  bool silent_ = false;  // the file was read before: its problems are known
  Origin origin_;
  std::string_view line_;
  std::string record_;    // a CSV row that spans several lines
  std::string unquoted_;  // CSV fields without their quotes
  std::vector<std::string_view> cells_;
  std::vector<std::string> values_;           // JSON, by column
  std::vector<std::optional<size_t>> place_;  // column -> cell
  size_t width_ = 0;
  bool pending_ = false;  // the first row was no header and waits
  uint64_t bytes_reported_ = 0;
};

}  // namespace cllm
