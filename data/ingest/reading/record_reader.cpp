#include "data/ingest/reading/record_reader.h"

#include <algorithm>
#include <array>
#include <utility>

#include "data/errors.h"
#include "data/ingest/files/input_files.h"
#include "data/ingest/reading/columns.h"
#include "data/ingest/values/parse.h"

namespace cllm {
namespace {

size_t count_of(std::string_view text, std::string_view separator) {
  size_t count = 0;
  for (size_t at = text.find(separator); at != std::string_view::npos; at = text.find(separator, at + separator.size()))
    ++count;
  return count;
}

/// The first line with what stands in quotes taken out.
std::string without_quoted(std::string_view line) {
  std::string out;
  bool inside = false;
  for (const char c : line) {
    inside = c == '"' ? !inside : inside;
    if (!inside && c != '"') out += c;
  }
  return out;
}

/// Only where nothing else separates: names of columns, or a number among the fields.
bool is_row_of_blanks(std::string_view line, size_t min_columns) {
  size_t fields = 0, names = 0, numbers = 0;
  for (line = trimmed(line); !line.empty(); line = trimmed(line)) {
    const std::string_view field = line.substr(0, line.find(' '));
    line.remove_prefix(field.size());
    ++fields;
    names += is_known_name(folded(field)) ? 1 : 0;
    numbers += parse_number(field) ? 1 : 0;
  }
  return min_columns > 1 && fields >= min_columns && (names > 1 || numbers > 0);
}

/// A comment that is a header: as many fields as `row`, and names of columns among them.
bool names_the_fields_of(std::string_view comment, std::string_view row) {
  static constexpr std::array<std::string_view, 5> kSeparators = {"\t", ",", ";", "|", " "};
  return std::ranges::any_of(kSeparators, [&](const std::string_view separator) {
    const size_t count = count_of(row, separator);
    if (count == 0 || count_of(comment, separator) != count) return false;
    size_t names = 0;
    for (std::string_view rest = comment;;) {
      const size_t end = std::min(rest.find(separator), rest.size());
      names += is_known_name(folded(rest.substr(0, end))) ? 1 : 0;
      if (end == rest.size()) return names > 1;
      rest.remove_prefix(end + separator.size());
    }
  });
}

/// Does every field stand in quotes, as R and pandas write a header?
bool is_all_quoted(std::string_view line, std::string_view separator) {
  while (true) {
    const size_t end = std::min(line.find(separator), line.size());
    const std::string_view field = line.substr(0, end);
    if (field.size() < 2 || field.front() != '"' || field.back() != '"') return false;
    if (end == line.size()) return true;
    line.remove_prefix(end + separator.size());
  }
}

}  // namespace

const std::vector<FileKind>& file_kinds() {
  static const std::vector<FileKind> kinds = {{".tsv", "\t"},
                                              {".csv", ",", true},
                                              {".txt", "\t"},
                                              {".jsonl", ""},
                                              {".json", ""},
                                              {".ndjson", ""},
                                              {".inter", "\t"},
                                              {".item", "\t"},
                                              {".user", "\t"},
                                              {".dat", "::"},
                                              {".data", "\t"},
                                              {".rating", "\t"},
                                              {".parquet", "\t", true, true},
                                              {".pq", "\t", true, true}};
  return kinds;
}

const FileKind* kind_of_file(const std::filesystem::path& path) {
  std::string extension = lower_case(bare_name(path).extension().string());
  if (extension.empty() && is_parquet_folder(path)) extension = ".parquet";
  const auto& kinds = file_kinds();
  const auto at =
      std::find_if(kinds.begin(), kinds.end(), [&](const auto& kind) { return kind.extension == extension; });
  return at == kinds.end() ? nullptr : &*at;
}

RecordReader::RecordReader(const std::filesystem::path& path, const ReadingOptions& options, size_t min_columns)
    : path_(path) {
  const FileKind* const kind = kind_of_file(path);
  if (kind == nullptr) {
    std::string known;
    for (const FileKind& one : file_kinds()) known += (known.empty() ? "" : ", ") + one.extension;
    throw DataError(path.string() + ": unknown kind of file; expected " + known + ", also with .gz, .zst or in a .zip");
  }
  if (kind->columnar) {
    columnar_ = open_parquet(path);
    separator_ = kind->separator;
    quoting_ = true;
    return;
  }
  lines_ = std::make_unique<LineReader>(path, options.encoding);
  separator_ = options.separator.empty() ? kind->separator : options.separator;
  quoting_ = kind->quoting;
  if (is_json()) return;
  skip_comments();
  if (options.separator.empty()) choose_separator(min_columns);
}

void RecordReader::skip_comments() {
  Line last;
  while (next_line()) {
    const bool is_comment = line_.starts_with("# ") || line_.starts_with("% ") ||
                            (line_line_ == 1 && line_.starts_with("sep=") && line_.size() <= 5);
    if (!is_comment) {
      waiting_.push_back({std::string(line_), line_line_});
      if (names_the_fields_of(last.text, line_)) {
        waiting_.push_back(std::move(last));
        --lines_above_;
      }
      return;
    }
    last = {std::string(trimmed(line_.substr(1))), line_line_};
    ++lines_above_;
  }
}

void RecordReader::choose_separator(size_t min_columns) {
  if (!next_line()) return;
  const std::string first = quoting_ ? without_quoted(line_) : std::string(line_);
  const std::string usual = separator_;
  size_t most = count_of(first, separator_);
  static constexpr std::array<std::string_view, 5> kOthers = {"\t", "::", ";", "|", ","};
  for (const std::string_view other : kOthers) {
    const size_t count = count_of(first, other);
    const bool better = quoting_ ? count > most : most == 0 && count + 1 >= min_columns && min_columns > 1;
    if (!better || count == 0) continue;
    separator_ = other;
    most = count;
  }
  if (most == 0 && is_row_of_blanks(first, min_columns)) separator_ = " ";
  unusual_separator_ = separator_ != usual;
  quoting_ = (quoting_ && separator_ != "::") || is_all_quoted(line_, separator_) || separator_ == ",";
  waiting_.push_back({std::string(line_), line_line_});
}

bool RecordReader::next_line() {
  if (!waiting_.empty()) {
    current_ = std::move(waiting_.back().text);
    line_line_ = waiting_.back().number;
    waiting_.pop_back();
    line_ = current_;
    return true;
  }
  if (!lines_->next(line_)) return false;
  line_line_ = lines_->line_number();
  return true;
}

bool RecordReader::next_columnar() {
  if (row_line_ == 0) {
    cells_.assign(columnar_->names().begin(), columnar_->names().end());
    facts_.resize(cells_.size());
  } else if (!columnar_->next(cells_, facts_)) {
    return false;
  }
  ++row_line_;
  return true;
}

size_t RecordReader::row_bytes() const {
  size_t bytes = line_.size();
  for (size_t n = 0; is_columnar() && n < cells_.size(); ++n) bytes += cells_[n].size();
  return bytes;
}

std::optional<std::string_view> RecordReader::not_utf8() const {
  if (!is_columnar()) return is_utf8(line_) ? std::nullopt : std::optional(line_);
  const std::string_view* const bad = row_line_ > 1 ? columnar_->not_utf8() : nullptr;
  return bad == nullptr ? std::nullopt : std::optional(*bad);
}

bool RecordReader::next() {
  if (is_columnar()) return next_columnar();
  if (!next_line()) return false;
  row_line_ = line_line_;
  broken_ = false;
  if (is_json()) return true;
  if (quoting_ && line_.find('"') != std::string_view::npos) {
    split_quoted();
  } else {
    split_plain();
  }
  return true;
}

void RecordReader::split_plain() {
  cells_.clear();
  if (separator_ == " ") return split_words();
  size_t begin = 0;
  for (size_t at = line_.find(separator_); at != std::string_view::npos; at = line_.find(separator_, begin)) {
    cells_.push_back(line_.substr(begin, at - begin));
    begin = at + separator_.size();
  }
  cells_.push_back(line_.substr(begin));
}

void RecordReader::split_words() {
  for (std::string_view rest = trimmed(line_); !rest.empty(); rest = trimmed(rest)) {
    cells_.push_back(rest.substr(0, rest.find(' ')));
    rest.remove_prefix(cells_.back().size());
  }
}

void RecordReader::split_quoted() {
  constexpr size_t kMaxRow = size_t{1} << 20;  // over several lines
  record_.assign(line_);
  unquoted_.clear();
  starts_.assign(1, 0);
  Field field;
  std::vector<std::pair<size_t, uint64_t>> added;  // places of the further lines in record_, their numbers
  size_t from = 0;
  while (cut_more(from, field) && field.place == Place::kQuoted) {
    if (record_.size() > kMaxRow || !next_line()) {
      field.place = Place::kBroken;
      break;
    }
    from = record_.size();
    record_.append("\n").append(line_);
    added.emplace_back(from + 1, line_line_);
  }
  broken_ = field.place == Place::kBroken;
  cells_.clear();
  if (broken_) {  // the lines behind the first are rows of their own
    for (size_t n = added.size(); n-- > 0;) {
      const size_t end = n + 1 < added.size() ? added[n + 1].first - 1 : record_.size();
      waiting_.push_back({record_.substr(added[n].first, end - added[n].first), added[n].second});
    }
    if (!added.empty()) record_.resize(added[0].first - 1);
  }
  for (size_t n = 0; n < starts_.size() && !broken_; ++n) {
    const size_t end = n + 1 < starts_.size() ? starts_[n + 1] : unquoted_.size();
    cells_.push_back(std::string_view(unquoted_).substr(starts_[n], end - starts_[n]));
  }
  line_ = record_;
}

bool RecordReader::cut_more(size_t from, Field& field) {
  const std::string_view record = record_;
  for (size_t n = from; n < record.size(); ++n) {
    const char c = record[n];
    if (field.place != Place::kQuoted && record.compare(n, separator_.size(), separator_) == 0) {
      starts_.push_back(unquoted_.size());
      n += separator_.size() - 1;
      field = {};
    } else if (c == '"' && field.place == Place::kStart) {
      field.place = Place::kQuoted;
    } else if (c == '"' && field.place == Place::kQuoted) {
      if (n + 1 < record.size() && record[n + 1] == '"') {
        unquoted_ += record[n++];
      } else {
        field.place = Place::kBehindQuote;
      }
    } else if (field.place == Place::kBehindQuote && field.over_lines) {
      field.place = Place::kBroken;  // some other field's quote ended it
      return false;
    } else {
      field.over_lines = field.over_lines || c == '\n';
      unquoted_ += c;
      if (field.place != Place::kQuoted) field.place = Place::kPlain;
    }
  }
  return true;
}

}  // namespace cllm
