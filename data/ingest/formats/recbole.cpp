// RecBole's atomic files: NAME.inter, NAME.item, NAME.user, TSV whose header has the types (user_id:token). And any
// single table of interactions.

#include <algorithm>

#include "data/errors.h"
#include "data/ingest/formats/id_columns.h"
#include "data/ingest/formats/layouts.h"
#include "data/ingest/formats/tables.h"
#include "data/ingest/reading/sample.h"
#include "data/ingest/values/columns.h"

namespace cllm {
namespace {

namespace fs = std::filesystem;

bool any_name(std::string_view) { return true; }

/// The one file of that extension; empty: none.
fs::path one_of(const InputFolder& input, const std::string& extension) {
  const auto found = files_named(input.files, {extension}, any_name);
  const bool parts = !found.empty() && bare_name(found[0]).stem().extension() == ".part";  // a.part*.inter
  if (found.size() > 1 || parts) {
    refuse_parts_of_a_split(input.place, found);
    throw DataError(input.place.string() + ": " + list_of_names(parts ? input_parts(found[0]) : found) +
                    "; give the one to read: --input FILE; if they are train, validation and test, as NAME.part1, "
                    ".part2 and .part3 of RecBole are, write all rows into one file for --input, with a column 'part' "
                    "(train, validation or test), and give it as --split FILE, too");
  }
  return found.empty() ? fs::path() : found[0];
}

/// Rows of a data set for sequences that holds all beginnings of a history: only their last items would be read.
void refuse_prefixes(const fs::path& inter, const ReadingOptions& reading) {
  const auto names = names_in(inter, reading);
  const auto place_of = [&](std::string_view name) {
    return static_cast<size_t>(std::ranges::find(names, name, folded) - names.begin()) + 1;
  };
  const size_t list = place_of("itemidlist"), item = place_of("itemid");
  const size_t whose = std::min(place_of("userid"), place_of("sessionid"));
  if (std::max({list, item, whose}) > names.size()) return;
  const std::string user = "$" + std::to_string(whose);
  const std::string last = "$" + std::to_string(item);
  throw DataError(inter.string() +
                  ":1: item_id_list holds what came before item_id; write a row per pair: awk -F'\\t' '" +
                  "NR == 1 {print \"user_id\\titem_id\"; next} {n = split($" + std::to_string(list) +
                  ", i, \" \"); i[++n] = " + last + "; for (k = 1; k <= n; ++k) if (!seen[" + user +
                  ", i[k]]++) print " + user + " \"\\t\" i[k]}' OLD > interactions.tsv");
}

/// Beside folders, which may hold the interactions: a table of users or of items by its header.
bool lists_no_pairs(const InputFolder& input, const fs::path& table, const ReadingOptions& reading) {
  if (folders_in(input.place).empty()) return false;
  const auto names = names_in(table, reading);
  return names_a(Role::kUser, names) != names_a(Role::kItem, names);
}

}  // namespace

std::unique_ptr<Source> open_recbole(const InputFolder& input, const SourceOptions& options) {
  const fs::path inter = one_of(input, ".inter");
  if (inter.empty()) return nullptr;
  refuse_prefixes(inter, options.reading);
  auto source = std::make_unique<Tables>();
  source->interactions.push_back({inter});
  if (const auto items = one_of(input, ".item"); !items.empty())
    source->texts.push_back({items, {{}, column(Role::kItem), {}, true}});
  if (const auto users = one_of(input, ".user"); !users.empty())
    source->texts.push_back({users, {column(Role::kUser), {}, {}, true}});
  return source;
}

std::unique_ptr<Source> open_one_table(const InputFolder& input, const SourceOptions& options) {
  fs::path table;
  for (const fs::path& file : input.files) {
    const std::string name = lower_case(bare_name(file).string());
    if (kind_of_file(file) == nullptr || name.starts_with("readme") || name.starts_with("license")) continue;
    if (!table.empty()) return nullptr;  // two candidates
    table = file;
  }
  if (table.empty() || (options.columns.empty() && lists_no_pairs(input, table, options.reading))) return nullptr;
  auto source = std::make_unique<Tables>();
  source->interactions.push_back({table});
  return source;
}

}  // namespace cllm
