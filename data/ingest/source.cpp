#include "data/ingest/source.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "data/errors.h"
#include "data/ingest/reading/parse.h"

namespace cllm {

std::unique_ptr<Source> open_source(const std::filesystem::path& dir, const SourceOptions& options) {
  if (!std::filesystem::is_directory(dir))
    throw DataError(dir.string() + ": no such folder; give the folder that holds the raw files");
  const InputFormat format = options.format;
  const bool any = format == InputFormat::kAuto;
  std::unique_ptr<Source> source;
  if (any || format == InputFormat::kTsv || format == InputFormat::kCsv || format == InputFormat::kJsonl) {
    source = open_own_layout(dir, options);
  }
  if (!source && (any || format == InputFormat::kMovieLens)) source = open_movielens(dir);
  if (!source && (any || format == InputFormat::kYelp)) source = open_yelp(dir);
  if (!source && (any || format == InputFormat::kAmazon)) source = open_amazon(dir);
  if (source) return source;
  throw DataError(
      dir.string() +
      ": no input found; expected interactions.tsv/.csv/.jsonl, MovieLens ratings.csv, Yelp *review.json or "
      "Amazon review files, each also with .gz (" +
      (any ? "any format was looked for)" : "only the format given was looked for)"));
}

void read_interaction_table(const std::filesystem::path& path, const InteractionColumns& columns, RowSink& sink,
                            Intake& intake) {
  TableReader rows(path, {{columns.user}, {columns.item}, {columns.time, false}, {columns.rating, false}}, intake);
  while (rows.next()) {
    InteractionRow row{rows.field(0), rows.field(1), 0, !rows.field(2).empty(), {}, rows.origin()};
    const auto time = parse_time(rows.field(2));
    if (!time) {
      rows.report(Problem::kNumber, "time " + quoted(rows.field(2)) + " is no number or date");
      continue;
    }
    row.time = *time;
    if (const std::string_view rating = rows.field(3); !rating.empty()) {
      row.rating = parse_number(rating);
      if (!row.rating || std::abs(*row.rating) > std::numeric_limits<float>::max()) {
        rows.report(Problem::kNumber, "rating " + quoted(rating) + " is no number");
        continue;
      }
    }
    sink.interaction(row);
  }
}

void read_text_table(const std::filesystem::path& path, const TextTable& table, RowSink& sink, Intake& intake) {
  std::vector<Column> columns;
  if (!table.user.empty()) columns.push_back({table.user});
  if (!table.item.empty()) columns.push_back({table.item});
  const size_t first_text = columns.size();
  for (const TextColumn& text : table.texts) columns.push_back({text.names, false});
  TableReader rows(path, std::move(columns), intake);
  while (rows.next()) {
    TextRow row;
    row.origin = rows.origin();
    if (!table.user.empty()) row.user = rows.field(0);
    if (!table.item.empty()) row.item = rows.field(first_text - 1);
    for (size_t n = 0; n < table.texts.size(); ++n) {
      row.kind = table.texts[n].kind;
      row.text = rows.field(first_text + n);
      sink.text(row);
    }
  }
}

std::vector<std::filesystem::path> files_named(const std::filesystem::path& dir,
                                               const std::vector<std::string>& extensions,
                                               bool (*wanted)(std::string_view stem)) {
  std::vector<std::filesystem::path> found;
  for (const auto& entry : std::filesystem::directory_iterator(dir)) {
    if (!entry.is_regular_file()) continue;
    std::filesystem::path name = entry.path().filename();
    if (name.extension() == ".gz") name = name.stem();
    const bool fits = std::find(extensions.begin(), extensions.end(), name.extension().string()) != extensions.end();
    if (fits && wanted(name.stem().string())) found.push_back(entry.path());
  }
  std::sort(found.begin(), found.end());
  return found;
}

}  // namespace cllm
