#include <cstring>

#include "data/corpus/corpus.h"
#include "data/errors.h"
#include "data/ingest/prepare.h"
#include "data/ingest/values/parse.h"
#include "tests/fuzzers/read_corpus.h"
#include "tests/fuzzers/targets.h"

namespace cllm::fuzz {
namespace {

namespace fs = std::filesystem;

/// Touches every value of every row.
class Reader : public RowSink {
 public:
  void declare_user(std::string_view id, Origin) override { touch(id); }
  void declare_item(std::string_view id, Origin) override { touch(id); }
  void interaction(const InteractionRow& row) override {
    touch(row.user);
    touch(row.item);
  }
  void text(const TextRow& row) override {
    for (const std::string_view value : {row.user, row.item, row.kind, row.text}) touch(value);
  }

 private:
  static void touch(std::string_view value) { require(is_utf8(value), "a value that is handed out is UTF-8"); }
};

void read_all(Source& source) {
  ProblemLog log;
  Intake intake{log, {}};
  Reader reader;
  source.read_interactions(reader, intake);
  source.read_texts(reader, intake);
  require(log.bad_rows() <= log.rows(), "no more bad rows than rows");
}

/// Writes the parts as files of a new folder, opens it and reads it twice (a source is read twice).
void read_folder(std::string_view bytes, const std::vector<std::string>& names, const std::string& format,
                 const SourceOptions& more = {}) {
  const fs::path dir = scratch() / "folder";
  fs::remove_all(dir);
  const auto parts = split_parts(bytes);
  for (size_t n = 0; n < std::min(parts.size(), names.size()); ++n) as_file("folder/" + names[n], parts[n]);
  try {
    SourceOptions options = more;
    options.format = format;
    const auto source = open_source(dir, options);
    read_all(*source);
    read_all(*source);
  } catch (const DataError& error) {
    require(std::strchr(error.what(), '\n') == nullptr, "an error is one line");
  }
}

std::vector<std::string> own_layout(const std::string& extension) {
  return {"interactions" + extension, "items" + extension, "users" + extension, "texts" + extension};
}

}  // namespace

void tsv(std::string_view bytes) { read_folder(bytes, own_layout(".tsv"), "tsv"); }
void csv(std::string_view bytes) { read_folder(bytes, own_layout(".csv"), "csv"); }
void jsonl(std::string_view bytes) { read_folder(bytes, own_layout(".jsonl"), "jsonl"); }
void gzip(std::string_view bytes) { read_folder(bytes, {"interactions.tsv.gz"}, "tsv"); }
void movielens(std::string_view bytes) { read_folder(bytes, {"ratings.csv", "movies.csv", "tags.csv"}, "movielens"); }
void zip_archive(std::string_view bytes) { read_folder(bytes, {"a.zip"}, "auto"); }
void zstd_table(std::string_view bytes) { read_folder(bytes, {"interactions.tsv.zst"}, "tsv"); }

/// A file and a part of a folder; a build without Arrow refuses both.
void parquet(std::string_view bytes) {
  read_folder(bytes, {"interactions.parquet"}, "auto");
  read_folder(bytes, {"part-0.parquet", "part-1.parquet"}, "auto");
}

/// The first byte chooses an encoding.
void recoded(std::string_view bytes) {
  static const std::vector<std::string> kEncodings = {"latin-1", "utf-16", "gb18030", "shift_jis", "utf-7", "utf-32"};
  const size_t choice = bytes.empty() ? kEncodings.size() : static_cast<size_t>(bytes[0] - '0');
  if (choice >= kEncodings.size()) return;
  SourceOptions options;
  options.reading.encoding = kEncodings[choice];
  read_folder(bytes.substr(1), own_layout(".csv"), "csv", options);
}

/// The first byte chooses a layout.
void layout(std::string_view bytes) {
  struct Files {
    std::string format;
    std::vector<std::string> names;
  };
  static const std::vector<Files> kLayouts = {
      {"recbole", {"a.inter", "a.item", "a.user"}},
      {"movielens-1m", {"ratings.dat", "movies.dat"}},
      {"movielens-100k", {"u.data", "u.item"}},
      {"kuairec", {"big_matrix.csv", "kuairec_caption_category.csv"}},
      {"goodreads", {"goodreads_interactions.csv", "goodreads_reviews.json", "goodreads_books.json"}},
      {"steam", {"steam_reviews.json", "steam_games.json"}},
      {"mind", {"behaviors.tsv", "news.tsv"}},
      {"lastfm-1k", {"userid-timestamp-artid-artname-traid-traname.tsv"}},
      {"table", {"anything.txt"}}};
  const size_t choice = bytes.empty() ? kLayouts.size() : static_cast<size_t>(bytes[0] - '0');
  if (choice < kLayouts.size()) read_folder(bytes.substr(1), kLayouts[choice].names, kLayouts[choice].format);
}

void amazon(std::string_view bytes) { read_folder(bytes, {"reviews.json", "meta.json"}, "amazon"); }
void yelp(std::string_view bytes) { read_folder(bytes, {"review.json", "business.json"}, "yelp"); }

/// The whole way: raw files, bad rows allowed, to a corpus that opens and can be read. A fifth part is a split file.
void prepare_folder(std::string_view bytes) {
  constexpr std::string_view kKinds = "tcj";
  const std::string extensions[] = {".tsv", ".csv", ".jsonl"};
  const size_t kind = bytes.empty() ? std::string_view::npos : kKinds.find(bytes[0]);
  if (kind == std::string_view::npos) return;
  const auto parts = split_parts(bytes.substr(1));
  const fs::path dir = scratch() / "raw";
  fs::remove_all(dir);
  const auto names = own_layout(extensions[kind]);
  for (size_t n = 0; n < std::min(parts.size(), names.size()); ++n) as_file("raw/" + names[n], parts[n]);
  PrepareOptions options;
  options.input = dir;
  options.output = scratch() / "corpus";
  options.overwrite = true;
  options.train_tokenizer = 257;
  options.error_limit = 1;
  options.threads = 1;
  options.memory_bytes = uint64_t{64} << 20;  // the least that is allowed
  options.shard_bytes = uint64_t{1} << 20;
  if (parts.size() > names.size()) {
    options.split = SplitMethod::kFile;
    options.split_file = as_file("split.tsv", parts[names.size()]);
  }
  try {
    prepare(options);
  } catch (const DataError& error) {
    require(std::strchr(error.what(), '\n') == nullptr, "an error is one line");
    return;
  }
  require(read_corpus(options.output), "a corpus that was written can be read");
}

}  // namespace cllm::fuzz
