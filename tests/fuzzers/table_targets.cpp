#include <cstring>

#include "data/corpus/corpus.h"
#include "data/errors.h"
#include "data/ingest/prepare.h"
#include "data/ingest/reading/parse.h"
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
void read_folder(std::string_view bytes, const std::vector<std::string>& names, InputFormat format) {
  const fs::path dir = scratch() / "folder";
  fs::remove_all(dir);
  const auto parts = split_parts(bytes);
  for (size_t n = 0; n < std::min(parts.size(), names.size()); ++n) as_file("folder/" + names[n], parts[n]);
  try {
    const auto source = open_source(dir, {.format = format, .user_texts = UserTexts::kAuto, .texts = {}});
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

void tsv(std::string_view bytes) { read_folder(bytes, own_layout(".tsv"), InputFormat::kTsv); }
void csv(std::string_view bytes) { read_folder(bytes, own_layout(".csv"), InputFormat::kCsv); }
void jsonl(std::string_view bytes) { read_folder(bytes, own_layout(".jsonl"), InputFormat::kJsonl); }
void gzip(std::string_view bytes) { read_folder(bytes, {"interactions.tsv.gz"}, InputFormat::kTsv); }
void movielens(std::string_view bytes) {
  read_folder(bytes, {"ratings.csv", "movies.csv", "tags.csv"}, InputFormat::kMovieLens);
}
void amazon(std::string_view bytes) { read_folder(bytes, {"reviews.json", "meta.json"}, InputFormat::kAmazon); }
void yelp(std::string_view bytes) { read_folder(bytes, {"review.json", "business.json"}, InputFormat::kYelp); }

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
