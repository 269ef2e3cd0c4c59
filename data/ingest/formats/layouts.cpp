#include "data/ingest/formats/layouts.h"

#include <algorithm>
#include <functional>

#include "data/errors.h"
#include "data/ingest/reading/record_reader.h"

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

/// What to do with one table under a name of its own: the largest, for there are settings and the like beside it.
std::string a_table_of(std::vector<fs::path> files) {
  std::erase_if(files, [](const fs::path& file) { return kind_of_file(file) == nullptr; });
  const auto table = std::ranges::max_element(files, std::less<>(), input_bytes);
  return table == files.end() ? "" : "; if one table has the interactions, name it: --input " + table->string();
}

}  // namespace

std::unique_ptr<Source> open_source(const fs::path& place, const SourceOptions& options) {
  const InputFolder input{place, input_files(place)};
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
  const auto folders = folders_in(place);
  throw DataError(
      place.string() + ": no input found; it holds " + list_of_names(input.files) +
      (folders.empty() ? "" : " and the folders " + list_of_names(folders) + ", of which one may be given") +
      "; expected " + looked_for + (any ? "" : " (only the format given was looked for)") + a_table_of(input.files) +
      what_to_unpack(input.files));
}

}  // namespace cllm
