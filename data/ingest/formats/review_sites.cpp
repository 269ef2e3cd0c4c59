// Amazon reviews + metadata (2014, 2018, 2023), Google Local, the Yelp academic data set, Steam, Goodreads: JSON lines
// whose reviews are interactions and texts at once.

#include <algorithm>

#include "data/errors.h"
#include "data/ingest/formats/layouts.h"
#include "data/ingest/formats/tables.h"
#include "data/ingest/values/json_row.h"
#include "data/ingest/values/parse.h"

namespace cllm {
namespace {

namespace fs = std::filesystem;

const std::vector<std::string> kJson = {".json", ".jsonl", ".ndjson"};

bool is_metadata(std::string_view stem) { return stem.starts_with("meta"); }
bool is_amazon_review(std::string_view stem) { return !is_metadata(stem); }
bool is_amazon_ratings(std::string_view stem) { return stem.starts_with("ratings_"); }
bool is_yelp_review(std::string_view stem) { return stem.ends_with("review"); }
bool is_yelp_business(std::string_view stem) { return stem.ends_with("business"); }
bool is_steam_review(std::string_view stem) { return stem.starts_with("steam_review") || stem == "steam_new"; }
bool is_steam_game(std::string_view stem) { return stem.starts_with("steam_game"); }
bool is_goodreads_log(std::string_view stem) { return stem.starts_with("goodreads_interactions"); }
bool is_goodreads_review(std::string_view stem) { return stem.starts_with("goodreads_reviews"); }
bool is_goodreads_book(std::string_view stem) { return stem.starts_with("goodreads_books"); }

/// Are its items named as Amazon's or Google's are? Names of files say nothing. The first object tells.
bool has_amazon_items(const fs::path& file, const ReadingOptions& reading) {
  const Column items = column_named("item", {"asin", "parent_asin", "gmap_id", "gPlusPlaceId"});
  RecordReader lines(input_parts(file)[0], reading, 1);
  for (size_t n = 0; n < kSampleRows && lines.next(); ++n) {
    const auto row = is_utf8(lines.line()) ? parse_json_line(lines.line()) : nlohmann::json();
    if (!row.is_object()) continue;
    const auto keys = row.items();
    return std::any_of(keys.begin(), keys.end(), [&](const auto& entry) {
      return std::ranges::find(items.names, folded(entry.key())) != items.names.end();
    });
  }
  return false;
}

/// Null if there are no reviews.
std::unique_ptr<Tables> tables(const fs::path& place, const std::vector<fs::path>& reviews, const TableSpec& review,
                               const std::vector<fs::path>& contents, const TextTable& content) {
  if (reviews.empty()) return nullptr;
  refuse_parts_of_a_split(place, reviews);
  auto source = std::make_unique<Tables>();
  for (const fs::path& file : reviews) source->interactions.push_back({file, review});
  for (const fs::path& file : contents) source->texts.push_back({file, content});
  return source;
}

/// Reviewed again: updates, variants of a product under one id, copies (Amazon 2018).
std::unique_ptr<Tables> with_repeats(std::unique_ptr<Tables> source) {
  if (source) source->event_log = true;
  return source;
}

}  // namespace

std::unique_ptr<Source> open_amazon(const InputFolder& input, const SourceOptions& options) {
  const TextTable content{
      {},
      column(Role::kItem),
      {column_named("title", {"title", "name"}, false), column_named("brand", {"brand", "store"}, false),
       column_named("categories", {"categories", "category"}, false),
       column_named("description", {"description"}, false), column_named("features", {"features", "feature"}, false)}};
  auto reviews = files_named(input.files, kJson, is_amazon_review);
  if (options.format == "auto")
    std::erase_if(reviews, [&](const fs::path& file) { return !has_amazon_items(file, options.reading); });
  const auto ratings = files_named(input.files, {".csv"}, is_amazon_ratings);
  if (reviews.empty()) reviews = ratings;
  return with_repeats(
      tables(input.place, reviews, interaction_table(), files_named(input.files, kJson, is_metadata), content));
}

std::unique_ptr<Source> open_yelp(const InputFolder& input, const SourceOptions&) {
  const TextTable content{{},
                          column(Role::kItem),
                          {column_named("title", {"name"}, false), column_named("categories", {"categories"}, false)}};
  return with_repeats(tables(input.place, files_named(input.files, kJson, is_yelp_review), interaction_table(),
                             files_named(input.files, kJson, is_yelp_business), content));
}

/// user_id is there for some users only, username for all.
std::unique_ptr<Source> open_steam(const InputFolder& input, const SourceOptions&) {
  TableSpec review = interaction_table();
  review.columns[0] = column_named("user", {"username"});
  const auto optional = [](const std::string& name) { return column_named(name, {name}, false); };
  const TextTable content{{},
                          column_named("item", {"id", "product_id", "app_id"}),
                          {column_named("title", {"app_name", "title"}, false), optional("genres"), optional("tags"),
                           optional("specs"), optional("developer")}};
  return with_repeats(tables(input.place, files_named(input.files, kJson, is_steam_review), review,
                             files_named(input.files, kJson, is_steam_game), content));
}

/// Interactions if they are there, since reviews are of a part of them; the reviews' texts in any case.
std::unique_ptr<Source> open_goodreads(const InputFolder& input, const SourceOptions&) {
  const auto optional = [](const std::string& name) { return column_named(name, {name}, false); };
  const TextTable content{{}, column(Role::kItem), {optional("title"), optional("description"), optional("publisher")}};
  std::vector<std::string> kinds = kJson;
  kinds.push_back(".csv");
  const auto logs = files_named(input.files, kinds, is_goodreads_log);
  const auto reviews = files_named(input.files, kJson, is_goodreads_review);
  const auto is_csv = [](const fs::path& file) { return bare_name(file).extension() == ".csv"; };
  const auto num_csv = std::ranges::count_if(logs, is_csv);
  if (num_csv > 0 && static_cast<size_t>(num_csv) < logs.size()) {
    throw DataError(input.place.string() + ": " + list_of_names(logs) +
                    ": the CSV lists the interactions by other ids than the JSON; keep one of them");
  }
  auto source = tables(input.place, logs.empty() ? reviews : logs, interaction_table(),
                       files_named(input.files, kJson, is_goodreads_book), content);
  if (source && source->interactions.size() > 1) source->event_log = true;  // a book of two genres
  if (source && !logs.empty()) {
    for (const fs::path& file : reviews) source->interactions.push_back({file, interaction_table(), true});
    if (is_csv(logs[0]) && (!source->texts.empty() || !reviews.empty()))
      source->message = bare_name(logs[0]).string() +
                        " has ids of its own (book_id_map.csv): books and reviews in JSON have others and do not join";
  }
  return source;
}

}  // namespace cllm
