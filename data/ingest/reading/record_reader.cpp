#include "data/ingest/reading/record_reader.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include "data/errors.h"
#include "data/ingest/files/input_files.h"
#include "data/ingest/reading/separator.h"
#include "data/ingest/values/parse.h"

namespace cllm {
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
  separator_ = kind->separator;
  quoting_ = kind->quoting;
  if (is_json()) return;
  if (!options.separator.empty()) separator_ = options.separator;
  skip_comments();
  choose_separator(*kind, options.separator, min_columns);
}

void RecordReader::skip_comments() {
  Line last;
  while (next_line()) {
    const std::optional<std::string_view> comment = comment_in(line_);
    const bool is_option = line_line_ == 1 && line_.starts_with("sep=") && line_.size() <= 5;
    if (!comment && !is_option) {
      waiting_.push_back({std::string(line_), line_line_});
      if (names_the_fields_of(last.text, line_)) {
        waiting_.push_back(std::move(last));
        --lines_above_;
      }
      return;
    }
    last = {std::string(comment.value_or("")), line_line_};
    ++lines_above_;
  }
}

void RecordReader::choose_separator(const FileKind& kind, const std::string& option, size_t min_columns) {
  constexpr size_t kLines = 200, kBytes = size_t{1} << 20;
  std::vector<Line> ahead;
  for (size_t bytes = 0; ahead.size() < kLines && bytes < kBytes && next_line(); bytes += line_.size())
    ahead.push_back({std::string(line_), line_line_});
  std::vector<std::string_view> lines;
  lines.reserve(ahead.size());
  for (const Line& line : ahead) lines.push_back(line.text);
  const auto titles = static_cast<std::ptrdiff_t>(lines_above_names(lines));
  lines.erase(lines.begin(), lines.begin() + titles);
  lines_above_ += static_cast<size_t>(titles);
  if (option.empty() && !lines.empty() && is_object(lines[0], path_)) {
    separator_.clear();
    unusual_separator_ = true;
  } else {
    if (option.empty() && !lines.empty()) separator_ = separator_of(lines, kind, min_columns);
    unusual_separator_ = option.empty() && separator_ != kind.separator;
    quoting_ = (quoting_ && separator_ != "::") || separator_ == "," ||
               (!lines.empty() && is_all_quoted(lines[0], separator_));
  }
  waiting_.insert(waiting_.end(), std::make_move_iterator(ahead.rbegin()),
                  std::make_move_iterator(ahead.rend() - titles));
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
  constexpr std::string_view kMark = "\xEF\xBB\xBF";  // of UTF-8, again where files were joined
  if (line_.starts_with(kMark)) line_.remove_prefix(kMark.size());
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

size_t RecordReader::quote_behind_blanks(size_t from) const {
  const std::string_view record = record_;
  const size_t quote = std::min(record.find_first_not_of(' ', from), record.size());
  if (quote == from || quote == record.size() || record[quote] != '"' || separator_ == " ") return from;
  size_t end = quote + 1;
  for (; end < record.size(); ++end) {
    if (record[end] != '"') continue;
    if (end + 1 == record.size() || record[end + 1] != '"') break;
    ++end;
  }
  const size_t behind = std::min(record.find_first_not_of(' ', end + 1), record.size());
  const bool whole = end < record.size() && (behind == record.size() || record.substr(behind).starts_with(separator_));
  return whole ? quote : from;
}

bool RecordReader::cut_more(size_t from, Field& field) {
  const std::string_view record = record_;
  for (size_t n = from; n < record.size(); ++n) {
    const char c = record[n];
    if (field.place != Place::kQuoted && record.compare(n, separator_.size(), separator_) == 0) {
      starts_.push_back(unquoted_.size());
      n += separator_.size() - 1;
      field = {};
    } else if (const size_t quote = field.place == Place::kStart ? quote_behind_blanks(n) : n; quote > n) {
      n = quote;
      field.place = Place::kQuoted;
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
