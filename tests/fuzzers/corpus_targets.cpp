#include <cstring>
#include <fstream>
#include <nlohmann/json.hpp>

#include "data/corpus/corpus.h"
#include "data/corpus/files.h"
#include "data/corpus/manifest.h"
#include "data/errors.h"
#include "data/ingest/prepare.h"
#include "tests/fuzzers/read_corpus.h"
#include "tests/fuzzers/targets.h"

namespace cllm::fuzz {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

void read_users(const Corpus& corpus) {
  for (int64_t user = 0; user < corpus.vocabulary().num_users; ++user) {
    for (int part = 0; part < kNumParts; ++part) {
      for (const int32_t item : corpus.items(user, static_cast<Part>(part))) corpus.item_raw_id(item);
      for (const int32_t item : corpus.history(user, static_cast<Part>(part))) corpus.item_raw_id(item);
      const size_t count = corpus.times(user, static_cast<Part>(part)).size();
      require(!corpus.has_times() || count == corpus.history(user, static_cast<Part>(part)).size(),
              "every entry of a history has its time");
      corpus.ratings(user, static_cast<Part>(part));
    }
    corpus.find_user(corpus.user_raw_id(user));
    corpus.user_input_order(user);
  }
}

void parse_corpus_manifest(const std::string& text) {
  try {
    const CorpusManifest manifest = CorpusManifest::parse(text, "corpus.json");
    require(CorpusManifest::parse(manifest.to_text(), "corpus.json").to_text() == manifest.to_text(),
            "a manifest prints as it was read");
  } catch (const DataError& error) {
    require(std::strchr(error.what(), '\n') == nullptr, "an error is one line");
  }
}

/// A corpus of 3 users, 3 items and 3 texts, made once per process.
const fs::path& base_corpus() {
  static const fs::path dir = [] {
    as_file("base/items.tsv", "a\tred\nb\tgreen hat\nc\tblue\n");
    as_file("base/interactions.tsv",
            "user\titem\ttime\trating\nu\ta\t3\t1\nu\tb\t2\t5\nu\tc\t2\t\nv\ta\t1\t2\nv\tb\t9\t4\nw\tc\t5\t3\n");
    PrepareOptions options;
    options.input = scratch() / "base";
    options.output = scratch() / "base_corpus";
    options.train_tokenizer = 257;
    options.threads = 1;
    options.memory_bytes = uint64_t{64} << 20;  // the least that is allowed
    options.shard_bytes = uint64_t{1} << 20;
    prepare(options);
    return options.output;
  }();
  return dir;
}

}  // namespace

bool read_corpus(const fs::path& dir) {
  try {
    const Corpus corpus = Corpus::open(dir);
    read_users(corpus);
    for (int64_t item = 0; item < corpus.vocabulary().num_items; ++item) {
      corpus.find_item(corpus.item_raw_id(item));
      corpus.item_input_order(item);
    }
    for (int64_t n = 0; n < corpus.num_texts(); ++n) {
      corpus.text(n);
      if (corpus.version() > 1) corpus.raw_text(n);
    }
  } catch (const DataError& error) {
    require(std::strchr(error.what(), '\n') == nullptr, "an error is one line");
    return false;
  }
  return true;
}

/// As it is, and with the fingerprint that a forger would compute.
void corpus_manifest(std::string_view bytes) {
  parse_corpus_manifest(std::string(bytes));
  Json json = Json::parse(bytes, nullptr, false);
  if (!json.is_object() || bytes.size() > 65536) return;
  json.erase("fingerprint");
  json["fingerprint"] = digest_of(json.dump());
  parse_corpus_manifest(json.dump());
}

/// The first byte says which shard of a small corpus the others replace; its size in the manifest is made to fit.
void corpus_shard(std::string_view bytes) {
  constexpr std::string_view kFamilies = "uit";
  const size_t family = bytes.empty() ? std::string_view::npos : kFamilies.find(bytes[0]);
  if (family == std::string_view::npos) return;
  static const CorpusManifest good =
      CorpusManifest::parse(read_small_file(base_corpus() / kManifestName, 1 << 20), "corpus.json");
  CorpusManifest manifest = good;
  std::vector<CorpusShard>& shards = family == 0 ? manifest.users : family == 1 ? manifest.items : manifest.texts;
  const fs::path file = base_corpus() / shards.at(0).file.name;
  const std::string kept = read_small_file(file, 1 << 20);
  shards[0].file.bytes = bytes.size() - 1;
  std::ofstream(file, std::ios::binary) << bytes.substr(1);
  write_small_file(base_corpus() / kManifestName, manifest.to_text());
  read_corpus(base_corpus());
  std::ofstream(file, std::ios::binary) << kept;
}

}  // namespace cllm::fuzz
