#include "data/ingest/formats/id_columns.h"

#include <algorithm>
#include <set>

#include "data/ingest/reading/sample.h"
#include "data/ingest/values/parse.h"

namespace cllm {

Column called(Column column, const std::string& name) {
  if (!name.empty()) column.names.insert(column.names.begin(), folded(name));
  return column;
}

bool names_a(Role role, const std::vector<std::string>& names) {
  const auto known = cllm::column(role).names;
  return std::ranges::any_of(names,
                             [&](const auto& name) { return std::ranges::find(known, folded(name)) != known.end(); });
}

void tell_of_column_with_ids(const std::filesystem::path& list, const TableReader& used, size_t at, Role role,
                             const std::filesystem::path& interactions, const std::string& name_there,
                             const ReadingOptions& reading, ProblemLog& log) {
  const Sample rows = read_sample(list, reading, 1), pairs = read_sample(interactions, reading, 2);
  if (rows.empty() || pairs.empty() || rows[0].size() < 2 || pairs[0].size() < 2) return;  // JSON: one cell
  const auto named = std::ranges::find(pairs[0], name_there);
  const size_t there = named != pairs[0].end() ? static_cast<size_t>(named - pairs[0].begin())
                       : role == Role::kUser   ? 0
                                               : 1;
  std::set<std::string> ids;
  for (size_t n = name_there.empty() ? 0 : 1; n < pairs.size(); ++n) {
    if (there < pairs[n].size()) ids.emplace(trimmed(pairs[n][there]));
  }
  std::vector<size_t> hits(rows[0].size());
  for (const auto& row : rows) {
    for (size_t n = 0; n < std::min(row.size(), hits.size()); ++n)
      hits[n] += ids.contains(std::string(trimmed(row[n]))) ? 1 : 0;
  }
  const size_t mine = used.placement().places[at].value_or(0);
  const auto best = static_cast<size_t>(std::ranges::max_element(hits) - hits.begin());
  if (hits[mine] > 0 || hits[best] * 2 < std::min(ids.size(), rows.size())) return;
  const std::string what = cllm::column(role).what, file = list.filename().string();
  std::string header;
  for (size_t n = 0; n < hits.size(); ++n)
    header += (n > 0 ? ", " : "") + (n == best ? what : n == mine ? "text" : "column" + std::to_string(n + 1));
  log.add_hint("the ids of the interactions stand in column " + std::to_string(best + 1) + " of " + file +
               (used.placement().has_header ? ": " + columns_option(what, rows[0][best])
                                            : ", which has no header: write one above it, " + header));
}

void tell_of_other_ids(const TableReader& rows, size_t at, const Column& column, Role role, ProblemLog& log) {
  const std::string used = rows.name_of(at);
  if (used.empty() || column.names.empty() || folded(used) == column.names[0]) return;
  const std::vector<std::string> names = cllm::column(role).names;
  std::string others;
  for (const std::string& name : rows.placement().unused) {
    if (std::ranges::find(names, folded(name)) != names.end())
      others += (others.empty() ? "" : ", ") + cllm::quoted(name);
  }
  if (others.empty()) return;
  const std::string what = cllm::column(role).what, file = log.files()[rows.origin().file].filename().string();
  const std::string told = "the " + what + " of " + file + " is its column " + cllm::quoted(used) + "; is it " +
                           others + "? --columns " + what + "=NAME";
  log.note(told);
  log.add_hint(told);
}

ColumnChoices choices_for_interactions(const std::filesystem::path& interactions,
                                       const std::vector<std::filesystem::path>& others, const ColumnChoices& choices,
                                       const ReadingOptions& reading) {
  if (choices.empty()) return choices;
  const auto has = [&](const std::filesystem::path& file, const std::string& name) {
    return std::ranges::any_of(names_in(file, reading), [&](const auto& one) { return folded(one) == folded(name); });
  };
  ColumnChoices kept = choices;
  std::erase_if(kept, [&](const auto& choice) {
    const bool of_others = choice.first != "time" && choice.first != "rating" && choice.second != kNoColumn;
    return of_others && !has(interactions, choice.second) &&
           std::ranges::any_of(others, [&](const auto& file) { return has(file, choice.second); });
  });
  return kept;
}

}  // namespace cllm
