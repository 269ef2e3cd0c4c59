#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "data/ingest/files/line_reader.h"
#include "data/ingest/reading/columnar_rows.h"

namespace cllm {

/// What the end of a file's name says about its rows. This is the one list: refusals and --help print it.
struct FileKind {
  std::string extension;
  std::string separator;  // of fields; "": JSON lines
  bool quoting = false;   // a field may stand in quotes
  bool columnar = false;  // Parquet
};
const std::vector<FileKind>& file_kinds();
const FileKind* kind_of_file(const std::filesystem::path& path);  // null: no table

/// How files are read; part of the options of prepare.
struct ReadingOptions {
  std::string encoding;   // as iconv calls it; empty: UTF-8, or what the byte order mark says
  std::string separator;  // of tables of text, instead of what extension and lines say; " ": blanks; empty: those
};

/// Rows of a file, whatever it is: lines of JSON, or cells; of Parquet the names of the columns are the first row.
/// Quoting is that of RFC 4180 and, where files break it, of Python's csv and pandas: a quote inside an unquoted field
/// is a character, text behind a closing quote belongs to the field. A quoted field may go over lines if it ends as it
/// should, before a separator or the end of a line, within 1 MiB; else its first line is a bad row by itself and the
/// lines behind it are rows of their own. Not read are lines above the first row that begin with "# ", "% " or "sep=",
/// which SNAP, KONECT and Excel write.
class RecordReader {
 public:
  /// min_columns: a file of text that does not have the separator of its extension, and needs so many, is looked at for
  /// another one (separator.h). Objects of JSON are read whatever the extension says.
  RecordReader(const std::filesystem::path& path, const ReadingOptions& options, size_t min_columns);

  /// False at the end. All views are valid until the next call.
  bool next();
  std::string_view line() const { return line_; }  // as it came; of a row over several lines all of them; not columnar
  bool is_blank() const { return !columnar_ && line_.empty(); }
  size_t row_bytes() const;
  std::optional<std::string_view> not_utf8() const;  // the line, or a cell
  const std::vector<std::string_view>& cells() const { return cells_; }
  bool is_json() const { return separator_.empty(); }
  /// Other columns may be empty in the rows to come.
  void select(const std::vector<ColumnUse>& columns) {
    if (columnar_) columnar_->select(columns);
  }
  void refuse_list(size_t column) const {  // of Parquet: columnar_rows.h
    if (columnar_) columnar_->refuse_list(column);
  }
  const CellFacts& facts(size_t column) const { return columnar_ ? facts_[column] : no_facts_; }
  bool is_columnar() const { return columnar_ != nullptr; }  // the first row is a header, whatever it says
  bool broken() const { return broken_; }                    // a quote is never closed
  uint64_t line_number() const { return row_line_; }         // of the row's first line, from 1
  uint64_t bytes_consumed() const { return columnar_ ? columnar_->consumed() : lines_->bytes_consumed(); }
  const std::filesystem::path& path() const { return path_; }
  const std::string& separator() const { return separator_; }
  bool quoting() const { return quoting_; }
  bool unusual_separator() const { return unusual_separator_; }
  uint64_t lines_above() const { return lines_above_; }  // comments and titles above the first row

 private:
  struct Line {
    std::string text;
    uint64_t number;
  };
  enum class Place { kStart, kPlain, kQuoted, kBehindQuote, kBroken };
  struct Field {
    Place place = Place::kStart;
    bool over_lines = false;
  };
  bool next_line();
  void skip_comments();
  void choose_separator(const FileKind& kind, const std::string& option, size_t min_columns);
  bool next_columnar();
  void split_plain();
  void split_words();
  void split_quoted();
  /// Of a field at `from` of record_ that stands in quotes with blanks before them: where the quote is. Else `from`.
  size_t quote_behind_blanks(size_t from) const;
  /// Goes on cutting record_ at `from`, into unquoted_ and starts_. False if it cannot be cut.
  bool cut_more(size_t from, Field& field);

  std::filesystem::path path_;
  std::unique_ptr<LineReader> lines_;       // or
  std::unique_ptr<ColumnarRows> columnar_;  // of these one
  std::string separator_;
  bool quoting_ = false, unusual_separator_ = false, broken_ = false;
  std::string_view line_;
  uint64_t line_line_ = 0, row_line_ = 0, lines_above_ = 0;
  std::vector<std::string_view> cells_;
  std::vector<CellFacts> facts_;  // of Parquet's cells
  CellFacts no_facts_;
  std::string record_;          // a row that spans several lines
  std::string unquoted_;        // fields without their quotes
  std::vector<size_t> starts_;  // of the fields in unquoted_
  std::vector<Line> waiting_;   // lines that were read ahead, last first
  std::string current_;         // the one of them that line_ views
};

}  // namespace cllm
