#include "data/ingest/retokenize.h"

#include <string>
#include <vector>

#include "data/corpus/manifest.h"
#include "data/errors.h"
#include "data/ingest/storage/staging.h"
#include "data/ingest/tokenize.h"

namespace cllm {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

class CorpusTexts : public TextStream {
 public:
  explicit CorpusTexts(const Corpus& corpus) : corpus_(corpus) {}
  void rewind() override { next_ = 0; }
  bool next(TextEntry& entry) override {
    if (next_ == corpus_.num_texts()) return false;
    const TextSample text = corpus_.text(next_);
    entry = {static_cast<int32_t>(text.user), static_cast<int32_t>(text.item), text.kind,
             std::string(corpus_.raw_text(next_))};
    ++next_;
    return true;
  }
  uint64_t size() const override { return static_cast<uint64_t>(corpus_.num_texts()); }

 private:
  const Corpus& corpus_;
  int64_t next_ = 0;
};

void check(const RetokenizeOptions& options) {
  const auto require = [](bool ok, const std::string& message) {
    if (!ok) throw DataError(message);
  };
  require(!options.output.empty(), "retokenize: no output folder is given");
  require(options.tokenizer.empty() != (options.train_tokenizer == 0),
          "retokenize: give either a folder with tokenizer files or the size of a tokenizer to train");
  require(options.train_tokenizer == 0 || options.train_tokenizer >= 257,
          "retokenize: a tokenizer to train needs a size of at least 257");
}

/// What prepare was told, and what belongs to the tokens that are replaced.
TokenizeOptions options_of(const CorpusManifest& manifest, const RetokenizeOptions& options, const fs::path& folder) {
  const auto setting = [&](const char* key) {
    const Json value = manifest.options.is_object() ? manifest.options.value(key, Json()) : Json();
    if (!value.is_number_integer() || value <= 0 || (value.is_number_unsigned() && value.get<uint64_t>() >> 62 != 0)) {
      throw DataError((options.corpus / kManifestName).string() + ": damaged: option '" + key + "' is " + value.dump());
    }
    return value.get<int64_t>();
  };
  return {folder,
          options.tokenizer,
          options.train_tokenizer,
          setting("max_text_tokens"),
          static_cast<uint64_t>(setting("shard_bytes")),
          options.threads,
          options.progress};
}

void copy_shards(const fs::path& from, const fs::path& to, const std::vector<CorpusShard>& shards) {
  for (const CorpusShard& shard : shards) {
    std::error_code error;
    fs::copy_file(from / shard.file.name, to / shard.file.name, error);
    if (error) throw DataError((to / shard.file.name).string() + ": cannot copy: " + error.message());
    sync_to_disk(to / shard.file.name);
  }
}

}  // namespace

RetokenizeReport retokenize(const RetokenizeOptions& options) {
  check(options);
  const Corpus corpus = Corpus::open(options.corpus, true);
  CorpusManifest manifest = CorpusManifest::parse(corpus.manifest(), options.corpus / kManifestName);
  if (!manifest.columns.raw_texts) {
    throw DataError(options.corpus.string() + ": is of format version 1, which keeps no raw texts; prepare it anew");
  }
  StagingFolder staging(place_of_corpus(options.output, options.overwrite, {}));
  copy_shards(options.corpus, staging.path(), manifest.users);
  copy_shards(options.corpus, staging.path(), manifest.items);
  manifest.tokenizer.clear();
  manifest.texts.clear();
  manifest.num_texts = 0;
  manifest.num_text_tokens = 0;
  CorpusTexts texts(corpus);
  RetokenizeReport report;
  report.cut_texts = tokenize(texts, options_of(manifest, options, staging.path()), manifest);
  manifest.options["tokenizer"] = options.tokenizer.empty() ? "trained" : "given";
  manifest.options["train_tokenizer"] = options.train_tokenizer;
  manifest.report["cut_texts"] = report.cut_texts;
  write_small_file(staging.path() / kManifestName, manifest.to_text());
  sync_to_disk(staging.path() / kManifestName);
  staging.publish();
  report.num_texts = manifest.num_texts;
  report.num_text_tokens = manifest.num_text_tokens;
  report.num_words = manifest.vocabulary.num_words;
  return report;
}

}  // namespace cllm
