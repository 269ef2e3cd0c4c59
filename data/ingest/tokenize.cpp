#include "data/ingest/tokenize.h"

#include <algorithm>
#include <future>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "data/errors.h"
#include "data/ingest/shard_writer.h"

namespace cllm {
namespace {

namespace fs = std::filesystem;

void add_tokenizer(const Tokenizer& tokenizer, const fs::path& folder, CorpusManifest& manifest) {
  const fs::path dir = folder / kTokenizerFolder;
  fs::create_directory(dir);
  tokenizer.save(dir);
  std::vector<std::string> names;
  for (const auto& entry : fs::directory_iterator(dir)) names.push_back(entry.path().filename());
  std::sort(names.begin(), names.end());
  for (const std::string& name : names) {
    sync_to_disk(dir / name);
    manifest.tokenizer.push_back(describe_file(folder, std::string(kTokenizerFolder) + "/" + name));
  }
  sync_to_disk(dir);
  manifest.tokenizer_fingerprint = tokenizer.fingerprint();
  manifest.vocabulary.num_words = tokenizer.size();
}

Tokenizer make_tokenizer(const TokenizeOptions& options, TextStream& texts) {
  if (!options.tokenizer.empty()) return Tokenizer::load(options.tokenizer);
  if (texts.size() == 0)
    throw DataError("there are no texts to train a tokenizer on; give a folder with tokenizer files");
  texts.rewind();
  TextEntry entry;
  uint64_t done = 0;
  return Tokenizer::train(
      [&]() -> std::optional<std::string_view> {
        if (!texts.next(entry)) return std::nullopt;
        if (options.progress) options.progress("training the tokenizer", ++done, texts.size());
        return entry.text;
      },
      options.train_tokenizer);
}

/// A batch of texts and their tokens.
struct TextBatch {
  std::vector<TextEntry> entries;
  std::vector<std::vector<int32_t>> tokens;

  bool read(TextStream& texts) {
    constexpr size_t kTexts = 4096, kBytes = size_t{4} << 20;
    entries.clear();
    size_t bytes = 0;
    for (TextEntry entry; entries.size() < kTexts && bytes < kBytes && texts.next(entry);) {
      bytes += entry.text.size();
      entries.push_back(std::move(entry));
    }
    return !entries.empty();
  }
  void encode(const Tokenizer& tokenizer, size_t num_threads) {
    tokens.assign(entries.size(), {});
    const auto work = [&](size_t thread) {
      for (size_t n = thread; n < entries.size(); n += num_threads) tokens[n] = tokenizer.encode(entries[n].text);
    };
    std::vector<std::future<void>> others;
    for (size_t thread = 1; thread < num_threads; ++thread)
      others.push_back(std::async(std::launch::async, work, thread));
    work(0);
    for (auto& other : others) other.get();
  }
};

struct TextColumns {
  std::vector<int32_t> user, item, kind, tokens;
  std::vector<int64_t> offsets{0}, raw_offsets{0};
  std::vector<uint8_t> raw;

  void add(const TextEntry& text, std::span<const int32_t> its_tokens) {
    user.push_back(text.user);
    item.push_back(text.item);
    kind.push_back(text.kind);
    tokens.insert(tokens.end(), its_tokens.begin(), its_tokens.end());
    offsets.push_back(static_cast<int64_t>(tokens.size()));
    raw.insert(raw.end(), text.text.begin(), text.text.end());
    raw_offsets.push_back(static_cast<int64_t>(raw.size()));
  }
  uint64_t size_bytes() const { return user.size() * 28 + tokens.size() * 4 + raw.size(); }
  void write(ShardFamily& family) const {
    const std::vector<DatasetView> datasets = {{"user", std::span(user)},
                                               {"item", std::span(item)},
                                               {"kind", std::span(kind)},
                                               {"offsets", std::span(offsets)},
                                               {"tokens", std::span(tokens)},
                                               {"raw_bytes", std::span(raw)},
                                               {"raw_offsets", std::span(raw_offsets)}};
    family.write(static_cast<int64_t>(user.size()), datasets);
  }
};

uint64_t write_texts(TextStream& texts, const Tokenizer& tokenizer, const TokenizeOptions& options,
                     CorpusManifest& manifest) {
  const size_t num_threads =
      options.threads > 0 ? static_cast<size_t>(options.threads) : std::max(1u, std::thread::hardware_concurrency());
  const auto max_tokens = static_cast<size_t>(options.max_text_tokens);
  ShardFamily family(options.folder, "texts");
  TextColumns shard;
  uint64_t done = 0, cut = 0;
  texts.rewind();
  for (TextBatch batch; batch.read(texts);) {
    batch.encode(tokenizer, num_threads);
    for (size_t n = 0; n < batch.entries.size(); ++n) {
      auto& tokens = batch.tokens[n];
      cut += tokens.size() > max_tokens ? 1 : 0;
      tokens.resize(std::min(tokens.size(), max_tokens));
      shard.add(batch.entries[n], tokens);
      ++manifest.num_texts;
      manifest.num_text_tokens += static_cast<int64_t>(tokens.size());
      if (shard.size_bytes() < options.shard_bytes) continue;
      shard.write(family);
      shard = TextColumns();
    }
    done += batch.entries.size();
    if (options.progress) options.progress("tokenising", done, texts.size());
  }
  if (!shard.user.empty()) shard.write(family);
  manifest.texts = family.entries();
  return cut;
}

}  // namespace

uint64_t tokenize(TextStream& texts, const TokenizeOptions& options, CorpusManifest& manifest) {
  const Tokenizer tokenizer = make_tokenizer(options, texts);
  add_tokenizer(tokenizer, options.folder, manifest);
  return write_texts(texts, tokenizer, options, manifest);
}

}  // namespace cllm
