#include "data/ingest/values/late_texts.h"

#include "data/ingest/values/parse.h"

namespace cllm {

bool LateColumn::see(std::string_view value, bool is_text, uint64_t line) {
  if (is_no_value(trimmed(value))) return false;
  ++values;
  constexpr size_t kShortest = 3;  // M and F, US and DE are codes
  if (!is_text || trimmed(value).size() < kShortest) return false;
  if (texts++ == 0) first_line = line;
  if (!empty || is_read || texts < values) return false;  // behind numbers: not for certain texts
  is_read = true;
  return true;
}

std::string describe_late(const std::vector<LateColumn>& columns, size_t sampled_rows) {
  constexpr uint64_t kMany = 100, kShare = 10;  // fewer are words among numbers
  std::string read, unread, never;
  const auto add = [](std::string& list, const std::string& one) { list += (list.empty() ? "" : ", ") + one; };
  for (const LateColumn& column : columns) {
    const std::string place = cllm::quoted(column.name) + " (first in line " + std::to_string(column.first_line) +
                              ", " + std::to_string(column.texts) + " rows)";
    if (column.is_read) {
      add(read, place);
    } else if (column.texts >= kMany || column.texts * kShare > column.values) {
      add(unread, place);
    } else if (column.empty) {
      add(never, column.name);
    }
  }
  std::string out;
  const auto say = [&](const std::string& what) { out += (out.empty() ? "" : "; ") + what; };
  if (!read.empty()) say("texts of the kinds " + read + ", which the first rows do not have");
  if (!unread.empty()) {
    say("not used: texts of " + unread + "; the first " + std::to_string(sampled_rows) +
        " rows, by which a file is understood, mostly hold other values there: put rows with texts first, and they are "
        "read");
  }
  if (!never.empty()) say("not used: " + never);
  return out;
}

}  // namespace cllm
