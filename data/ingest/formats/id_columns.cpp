#include "data/ingest/formats/id_columns.h"

#include <algorithm>

#include "data/ingest/reading/sample.h"
#include "data/ingest/values/parse.h"

namespace cllm {

Column called(Column column, const std::string& name) {
  if (!name.empty()) column.names.insert(column.names.begin(), folded(name));
  return column;
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
