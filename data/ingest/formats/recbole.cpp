// RecBole's atomic files: NAME.inter, NAME.item, NAME.user, TSV whose header has the types (user_id:token). And any
// single table of interactions.

#include "data/errors.h"
#include "data/ingest/formats/layouts.h"
#include "data/ingest/formats/tables.h"

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

}  // namespace

std::unique_ptr<Source> open_recbole(const InputFolder& input, const SourceOptions&) {
  const fs::path inter = one_of(input, ".inter");
  if (inter.empty()) return nullptr;
  auto source = std::make_unique<Tables>();
  source->interactions.push_back({inter});
  if (const auto items = one_of(input, ".item"); !items.empty())
    source->texts.push_back({items, {{}, column(Role::kItem), {}, true}});
  if (const auto users = one_of(input, ".user"); !users.empty())
    source->texts.push_back({users, {column(Role::kUser), {}, {}, true}});
  return source;
}

std::unique_ptr<Source> open_one_table(const InputFolder& input, const SourceOptions&) {
  fs::path table;
  for (const fs::path& file : input.files) {
    const std::string name = lower_case(bare_name(file).string());
    if (kind_of_file(file) == nullptr || name.starts_with("readme") || name.starts_with("license")) continue;
    if (!table.empty()) return nullptr;  // two candidates
    table = file;
  }
  if (table.empty()) return nullptr;
  auto source = std::make_unique<Tables>();
  source->interactions.push_back({table});
  return source;
}

}  // namespace cllm
