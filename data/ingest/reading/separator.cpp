#include "data/ingest/reading/separator.h"

#include <algorithm>
#include <array>
#include <cstdlib>
#include <map>

#include "data/errors.h"
#include "data/ingest/values/column_values.h"
#include "data/ingest/values/columns.h"
#include "data/ingest/values/json_row.h"
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

std::vector<std::string_view> words_of(std::string_view line) {
  std::vector<std::string_view> words;
  for (line = trimmed(line); !line.empty(); line = trimmed(line)) {
    words.push_back(line.substr(0, line.find(' ')));
    line.remove_prefix(words.back().size());
  }
  return words;
}

/// Only where nothing else separates: names of columns, or a number among the fields.
bool is_row_of_blanks(std::string_view line, size_t min_columns) {
  const auto fields = words_of(line);
  const auto names = std::ranges::count_if(fields, [](auto field) { return is_known_name(folded(field)); });
  const bool numbers = std::ranges::any_of(fields, [](auto field) { return parse_number(field).has_value(); });
  return min_columns > 1 && fields.size() >= min_columns && (names > 1 || numbers);
}

/// Lines without what stands in quotes, and without those that begin or end within quotes.
std::vector<std::string> outside_of_quotes(const std::vector<std::string_view>& lines) {
  std::vector<std::string> out;
  bool inside = false;
  for (const std::string_view line : lines) {
    const bool was_inside = inside;
    if (std::ranges::count(line, '"') % 2 != 0) inside = !inside;
    if (!was_inside && (out.empty() || (!inside && !line.empty()))) out.push_back(without_quoted(line));
  }
  return out;
}

/// How often it stands in the first line, if it does so in nearly all of them.
size_t count_everywhere(const std::vector<std::string>& lines, std::string_view separator) {
  const size_t count = count_of(lines[0], separator);
  size_t same = 0;
  for (const std::string& line : lines) same += count_of(line, separator) == count ? 1 : 0;
  constexpr size_t kNearlyAll = 95;
  return same * 100 >= lines.size() * kNearlyAll ? count : 0;
}

/// Do blanks give more fields than `separators` others, the same number everywhere, one of them a whole time?
bool are_rows_of_blanks(const std::vector<std::string>& lines, size_t separators) {
  const size_t width = words_of(lines[0]).size();
  size_t same = 0, times = 0;
  for (const std::string& line : lines) {
    const auto words = words_of(line);
    same += words.size() == width ? 1 : 0;
    times += std::ranges::any_of(words, [](auto word) { return parse_number(word) && is_time(word); }) ? 1 : 0;
  }
  constexpr size_t kNearlyAll = 95;
  const size_t enough = lines.size() * kNearlyAll;
  return width > separators + 1 && width > 2 && same * 100 >= enough && times * 100 >= enough;
}

constexpr std::array<std::string_view, 5> kSeparators = {"\t", "::", ";", "|", ","};
constexpr std::array<std::string_view, 5> kNameSeparators = {"\t", ",", ";", "|", " "};

size_t known_names_in(std::string_view line, std::string_view separator) {
  size_t names = 0;
  for (std::string_view rest = line;;) {
    const size_t end = std::min(rest.find(separator), rest.size());
    names += is_known_name(folded(rest.substr(0, end))) ? 1 : 0;
    if (end == rest.size()) return names;
    rest.remove_prefix(end + separator.size());
  }
}

/// "Ratings,,,": a workbook's title.
bool is_one_field(std::string_view line, std::string_view separator) {
  return separator != " " &&
         line.find_first_not_of(separator, std::min(line.find(separator), line.size())) == std::string_view::npos;
}

}  // namespace

std::string separator_of(const std::vector<std::string_view>& lines, const FileKind& kind, size_t min_columns) {
  const auto rows = kind.quoting ? outside_of_quotes(lines) : std::vector<std::string>(lines.begin(), lines.end());
  const size_t usual = count_of(rows[0], kind.separator), usual_everywhere = count_everywhere(rows, kind.separator);
  if (!kind.quoting && usual_everywhere > 0) return kind.separator;
  std::string_view best = kind.separator;
  size_t most = usual_everywhere;
  for (const std::string_view other : kSeparators) {
    const size_t count = count_everywhere(rows, other);
    if (count <= most || (!kind.quoting && (count + 1 < min_columns || min_columns < 2))) continue;
    best = other;
    most = count;
  }
  if (min_columns > 1 && are_rows_of_blanks(rows, most)) return " ";
  if (most > 0) return std::string(best);
  most = usual;  // rows of many widths: what the first has
  for (const std::string_view other : kSeparators) {
    const size_t count = count_of(rows[0], other);
    const bool better = kind.quoting ? count > most : most == 0 && count + 1 >= min_columns && min_columns > 1;
    if (!better || count == 0) continue;
    best = other;
    most = count;
  }
  return most == 0 && is_row_of_blanks(rows[0], min_columns) ? " " : std::string(best);
}

std::optional<std::string_view> comment_in(std::string_view line) {
  static constexpr std::array<std::string_view, 5> kMarks = {"#", "%", "//", ";;", "--"};
  line = trimmed(line);
  if (line.size() > 2 && std::string_view("#%/;-=*").find(line[0]) != std::string_view::npos &&
      line.find_first_not_of(line[0]) == std::string_view::npos)
    return "";  // a rule
  for (const std::string_view mark : kMarks) {
    if (line == mark || (line.starts_with(mark) && line[mark.size()] == ' ')) return trimmed(line.substr(mark.size()));
  }
  return {};
}

bool names_the_fields_of(std::string_view comment, std::string_view row) {
  return std::ranges::any_of(kNameSeparators, [&](const std::string_view separator) {
    const size_t count = count_of(row, separator);
    return count > 0 && count_of(comment, separator) == count && known_names_in(comment, separator) > 1;
  });
}

size_t lines_above_names(const std::vector<std::string_view>& lines) {
  constexpr size_t kMost = 10;
  for (size_t n = 0; n < std::min(lines.size(), kMost); ++n) {
    for (const std::string_view separator : kNameSeparators) {
      const size_t fields = count_of(lines[n], separator) + 1;
      const auto has_as_many = [&](std::string_view line) { return count_of(line, separator) + 1 == fields; };
      const size_t least = separator == " " ? std::max<size_t>(2, fields / 2 + 1) : 2;  // else a sentence
      if (known_names_in(lines[n], separator) < least || (n + 1 < lines.size() && !has_as_many(lines[n + 1]))) continue;
      const auto above = lines.begin() + static_cast<std::ptrdiff_t>(n);
      const bool titles = std::all_of(lines.begin(), above, [&](std::string_view line) {
        return !has_as_many(line) || is_one_field(line, separator);
      });
      return titles ? n : 0;
    }
  }
  return 0;
}

bool is_all_quoted(std::string_view line, std::string_view separator) {
  while (true) {
    const size_t end = std::min(line.find(separator), line.size());
    const std::string_view field = line.substr(0, end);
    if (field.size() < 2 || field.front() != '"' || field.back() != '"') return false;
    if (end == line.size()) return true;
    line.remove_prefix(end + separator.size());
  }
}

namespace {

const std::map<std::string, std::string, std::less<>>& separator_names() {
  static const std::map<std::string, std::string, std::less<>> kNames = {
      {"tab", "\t"},   {"comma", ","}, {"semicolon", ";"}, {"pipe", "|"},
      {"blanks", " "}, {"blank", " "}, {"ctrl-a", "\x01"}, {"\\t", "\t"}};
  return kNames;
}

}  // namespace

std::string separator_named(const std::string& option) {
  constexpr size_t kEscape = 4, kHex = 16;  // \x01
  if (option.size() == kEscape && option.starts_with("\\x"))
    return {static_cast<char>(std::strtol(option.c_str() + 2, nullptr, kHex))};
  const auto at = separator_names().find(option);
  return at == separator_names().end() ? option : at->second;
}

std::string name_of_separator(const std::string& separator) {
  for (const char* const name : {"tab", "blanks", "ctrl-a"}) {
    if (separator_names().at(name) == separator) return name;
  }
  return separator;
}

bool is_object(std::string_view line, const std::filesystem::path& path) {
  line = trimmed(line);
  if (line.empty()) return false;
  const auto refuse = [&](const std::string& what) {
    throw DataError(path.string() + ":1: " + cllm::quoted(line) + " " + what);
  };
  const auto begins = [&](std::string_view with) { return line.starts_with(with); };
  if (line[0] == '{') {
    if (parse_json_line(line).is_object()) return true;
    if (line == "{" || begins("{\"") || begins("{'"))
      refuse("begins JSON, but is no object by itself; write one per line: jq -c . OLD > NAME.jsonl");
  }
  if (line == "[" || begins("[{") || begins("[ {"))
    refuse("begins an array of JSON; write one object per line: jq -c '.[]' OLD > NAME.jsonl");
  std::string row(line.ends_with(',') || line.ends_with(';') ? line.substr(0, line.size() - 1) : line);
  if (row.size() > 2 && row.front() == '(' && row.back() == ')') row = "[" + row.substr(1, row.size() - 2) + "]";
  if (row.front() == '[' && row.back() == ']' && holds_several(parse_json_line(row)))
    refuse(
        "is a row in brackets, as Python and SQL write it; take the brackets off: sed 's/^[[(]//; s/[])][,;]*$//' "
        "OLD > NAME.csv");
  return false;
}

std::string hint_of_separator(const std::vector<std::vector<std::string>>& sample) {
  if (sample.empty() || sample[0].size() != 1) return "";
  std::vector<std::string> lines;
  lines.reserve(sample.size());
  for (const auto& row : sample) lines.push_back(row[0]);
  if (count_everywhere(lines, " ") > 0) return "; if blanks separate the fields: --separator blanks";
  constexpr std::string_view kOthers = "\x01\x02\x1E\x1F^~#$&*+!@%=/:_-\\";
  for (const char c : kOthers) {
    const std::string separator(1, c);
    if (count_everywhere(lines, separator) == 0) continue;
    const bool control = static_cast<unsigned char>(c) < ' ';
    const std::string code = {"01"[c >> 4 & 1], "0123456789ABCDEF"[c & 15]};
    return "; if " + cllm::quoted(separator) + " separates the fields: --separator " +
           (control ? "'\\x" + code + "'" : "'" + separator + "'");
  }
  return "";
}

}  // namespace cllm
