#include "data/ingest/formats/layouts.h"

#include <algorithm>
#include <array>
#include <functional>
#include <utility>

#include "data/errors.h"
#include "data/ingest/files/line_reader.h"
#include "data/ingest/formats/id_columns.h"
#include "data/ingest/reading/record_reader.h"
#include "data/ingest/reading/sample.h"
#include "data/ingest/values/parse.h"

namespace cllm {

namespace fs = std::filesystem;

const std::vector<Layout>& layouts() {
  static const std::vector<Layout> all = {
      {"own", "interactions.* [users.*, items.*, texts.*]", open_own_layout},
      {"tsv", "the same, of the files that are there the .tsv", open_own_layout},
      {"csv", "the .csv", open_own_layout},
      {"jsonl", "the .jsonl", open_own_layout},
      {"recbole", "NAME.inter [NAME.item, NAME.user]", open_recbole},
      {"movielens", "ratings.csv [movies.csv, tags.csv]: ml-latest, ml-20m, ml-25m, ml-32m", open_movielens},
      {"movielens-1m", "ratings.dat [movies.dat]: ml-1m, ml-10m", open_movielens_1m},
      {"movielens-100k", "u.data [u.item]: ml-100k", open_movielens_100k},
      {"kuairec", "big_matrix.csv or small_matrix.csv [kuairec_caption_category.csv]", open_kuairec},
      {"kuairand", "log_standard_*.csv: what was shown, or clicked", open_kuairand},
      {"goodreads", "goodreads_interactions*, goodreads_reviews* [goodreads_books*]", open_goodreads},
      {"steam", "steam_reviews.json, steam_new.json [steam_games.json]", open_steam},
      {"mind", "behaviors.tsv [news.tsv]: what was clicked", open_mind},
      {"lastfm-1k", "userid-timestamp-artid-artname-traid-traname.tsv: artists", open_lastfm_1k},
      {"lastfm-2k", "user_artists.dat [artists.dat]: HetRec 2011", open_lastfm_2k},
      {"yelp", "*review.json [*business.json]", open_yelp},
      {"amazon",
       "reviews of 2014, 2018, 2023 and Google Local, told by asin or gmap_id: *.json, *.jsonl [meta*]; ratings_*.csv",
       open_amazon},
      {"table", "one file of interactions, whatever its name", open_one_table}};
  return all;
}

namespace {

/// A hint, where there is an archive or a workbook that nothing here reads.
std::string what_to_unpack(const std::vector<fs::path>& files) {
  for (const auto& file : files) {
    const std::string name = lower_case(file.filename().string());
    for (const char* const kind : {".tar", ".tar.gz", ".tgz", ".tar.zst", ".zip.gz", ".bz2", ".xz", ".7z", ".rar"}) {
      if (name.ends_with(kind)) return "; unpack " + file.filename().string();
    }
    if (name.ends_with(".xlsx") || name.ends_with(".xls")) return "; save " + file.filename().string() + " as CSV";
  }
  return "";
}

/// How well a header fits interactions: 2 for a user and an item, 3 with a time, else 0.
int fitness(const fs::path& table, const ReadingOptions& reading) {
  try {
    const auto names = names_in(table, reading);
    return !names_a(Role::kUser, names) || !names_a(Role::kItem, names) ? 0 : names_a(Role::kTime, names) ? 3 : 2;
  } catch (const DataError&) {
    return 0;  // what is wrong will be said if it is named
  }
}

/// What to do with one table under a name of its own: that of interactions by its header, else the largest, for there
/// are settings and the like beside it; beside folders only that of interactions.
std::string a_table_of(std::vector<fs::path> files, const ReadingOptions& reading, bool beside_folders) {
  constexpr uint64_t kMostOfSettings = 4096;
  std::erase_if(files, [&](const fs::path& file) {
    const FileKind* const kind = kind_of_file(file);
    const bool small = kind != nullptr && kind->separator.empty() && input_bytes(file) < kMostOfSettings;
    return kind == nullptr || (small && fitness(file, reading) == 0);
  });
  const auto rank = [&](const fs::path& file) { return std::pair(fitness(file, reading), input_bytes(file)); };
  const auto table = std::ranges::max_element(files, std::less<>(), rank);
  if (table == files.end() || (beside_folders && fitness(*table, reading) == 0)) return "";
  const bool parts = table->string().find('*') != std::string::npos;
  return "; if one table has the interactions, name it: --input " +
         (parts ? "'" + table->string() + "'" : table->string());
}

/// What a line looks like a row of.
std::string ending_for(std::string_view line) {
  line = trimmed(line);
  if (line.starts_with('{')) return ".jsonl";
  if (line.find("::") != std::string_view::npos) return ".dat";
  if (line.find('\t') != std::string_view::npos) return ".tsv";
  return line.find_first_of(",;|") != std::string_view::npos ? ".csv" : ".txt";
}

/// Not what programs, pages, pictures and settings are called.
bool may_be_a_table(const fs::path& file) {
  static constexpr std::array<std::string_view, 30> kOthers = {
      ".py",   ".ipynb", ".r",    ".rmd", ".jl",  ".sh",   ".bat", ".c",   ".cpp", ".h",
      ".java", ".js",    ".sql",  ".md",  ".rst", ".html", ".htm", ".pdf", ".tex", ".bib",
      ".yaml", ".yml",   ".toml", ".ini", ".cfg", ".xml",  ".png", ".jpg", ".gif", ".svg"};
  const std::string name = lower_case(file.filename().string()), end = lower_case(file.extension().string());
  return std::ranges::find(kOthers, end) == kOthers.end() && !name.starts_with("readme") &&
         !name.starts_with("license") && !name.starts_with('_') && !fs::is_directory(file);
}

/// What to do with files whose names do not say what kind of table they are: what they are by their first bytes, or
/// the name that would do.
std::string what_to_rename(std::vector<fs::path> files) {
  std::erase_if(files, [](const fs::path& file) { return kind_of_file(file) != nullptr || !may_be_a_table(file); });
  constexpr size_t kMost = 3;
  std::string told, commands;
  for (size_t n = 0; n < std::min(files.size(), kMost); ++n) {
    try {
      LineReader lines(files[n]);
      std::string_view line;
      if (!lines.next(line)) continue;
      if (!is_utf8(line) || std::ranges::any_of(line, [](unsigned char c) { return c < 0x20 && c != '\t'; })) {
        told += "; " + files[n].filename().string() + ": not a table of text in UTF-8";
        continue;
      }
      const fs::path bare = bare_name(files[n]);
      const std::string packed = files[n].filename().string().substr(bare.string().size());
      commands += (commands.empty() ? " mv " : " && mv ") + files[n].string() + " " +
                  (files[n].parent_path() / (bare.string() + ending_for(line) + packed)).string();
    } catch (const DataError& error) {
      told += std::string("; ") + error.what();
    }
  }
  if (commands.empty()) return told;
  std::string known;
  for (const FileKind& kind : file_kinds()) known += (known.empty() ? "" : ", ") + kind.extension;
  return told + "; the end of a file's name says what kind of table it is (" + known + "), so:" + commands;
}

}  // namespace

std::unique_ptr<Source> open_source(const fs::path& place, const SourceOptions& options) {
  if (fs::exists(place) && !fs::is_regular_file(place) && !fs::is_directory(place))
    throw DataError(place.string() + ": a stream, and input is read more than once; write it into a file first");
  const InputFolder input = with_joined_parts({place, input_files(place)}, options.reading);
  const bool any = options.format == "auto";
  std::string looked_for;
  for (const Layout& layout : layouts()) {
    if (!any && layout.name != options.format) continue;
    if (auto source = layout.open(input, options)) return source;
    looked_for += (looked_for.empty() ? "" : "; ") + layout.files;
  }
  if (any)
    looked_for = "interactions.tsv/.csv/.jsonl, or files of one of the public data sets that prepare --help lists";
  if (const std::string parts = parts_of_a_split(input); !parts.empty()) throw DataError(place.string() + ": " + parts);
  if (!input.unlike_parts.empty()) throw DataError(place.string() + ": " + input.unlike_parts);
  const auto folders = folders_in(place);
  const std::string packed = what_to_unpack(input.files);
  throw DataError(
      place.string() + ": no input found; it holds " + list_of_names(input.files) +
      (folders.empty() ? "" : " and the folders " + list_of_names(folders) + ", of which one may be given") +
      "; expected " + looked_for + (any ? "" : " (only the format given was looked for)") +
      a_table_of(input.files, options.reading, !folders.empty()) +
      (packed.empty() ? what_to_rename(input.files) : packed));
}

}  // namespace cllm
