#include "data/ingest/texts.h"

#include <algorithm>
#include <future>
#include <thread>

#include "data/errors.h"
#include "data/ingest/parse.h"
#include "data/ingest/shard_writer.h"

namespace cllm {
namespace {

constexpr size_t kBytesPerToken = 64;  // no more of a text than max_text_tokens of this length is looked at

class TextCollector : public RowSink {
 public:
  TextCollector(const InternalIds& ids, std::span<const PackedPair> held_out, IngestFolder& work,
                std::vector<std::string>& kinds, TextSpool& spool)
      : ids_(ids), held_out_(held_out), work_(work), kinds_(kinds), spool_(spool) {}

  void text(const TextRow& row) override {
    const std::string_view text = trimmed(row.text);
    const auto user = internal_id(row.user, work_.users, ids_.users, work_.users_declared, row.origin);
    const auto item = internal_id(row.item, work_.items, ids_.items, work_.items_declared, row.origin);
    if (text.empty() || !user || !item || (*user < 0 && *item < 0)) {
      ++work_.report.unused_texts;
    } else if (is_held_out(*user, *item)) {
      ++work_.report.held_out_texts;
    } else {
      spool_.add({*user, *item, kind(row.kind), std::string(cut(text))});
    }
  }

 private:
  /// -1: none is named; nullopt: not in the corpus.
  std::optional<int32_t> internal_id(std::string_view raw, const IdMap& map, const std::vector<uint32_t>& internal,
                                     bool declared, Origin origin) {
    if (raw.empty()) return -1;
    const auto number = map.find(raw);
    if (!number && declared)
      work_.log.add(Problem::kUnknownId, origin, "text of " + quoted(raw) + ", which is not listed");
    if (!number || internal[*number] == kDropped) return std::nullopt;
    return static_cast<int32_t>(internal[*number]);
  }
  bool is_held_out(int32_t user, int32_t item) const {
    if (user < 0 || item < 0) return false;
    const auto contains = [&](Part part) {
      return std::binary_search(held_out_.begin(), held_out_.end(),
                                pack(static_cast<uint32_t>(user), part, static_cast<uint32_t>(item)));
    };
    return contains(Part::kValidation) || contains(Part::kTest);
  }
  int32_t kind(std::string_view name) {
    const auto at = std::find(kinds_.begin(), kinds_.end(), name);
    const auto number = static_cast<int32_t>(at - kinds_.begin());
    constexpr size_t kMaxKinds = 1000;
    if (at == kinds_.end() && kinds_.size() == kMaxKinds)
      throw DataError("more than 1000 kinds of texts; is the 'kind' column right?");
    if (at == kinds_.end()) kinds_.emplace_back(name);
    return number;
  }
  /// At a character's start.
  std::string_view cut(std::string_view text) const {
    size_t length = std::min(text.size(), static_cast<size_t>(work_.options.max_text_tokens) * kBytesPerToken);
    while (length < text.size() && (static_cast<unsigned char>(text[length]) & 0xC0) == 0x80) --length;
    return text.substr(0, length);
  }

  const InternalIds& ids_;
  std::span<const PackedPair> held_out_;
  IngestFolder& work_;
  std::vector<std::string>& kinds_;
  TextSpool& spool_;
};

/// A batch of texts and their tokens.
struct TextBatch {
  std::vector<TextSpool::Entry> entries;
  std::vector<std::vector<int32_t>> tokens;

  bool read(TextSpool& spool) {
    constexpr size_t kTexts = 4096, kBytes = size_t{4} << 20;
    entries.clear();
    size_t bytes = 0;
    for (TextSpool::Entry entry; entries.size() < kTexts && bytes < kBytes && spool.next(entry);) {
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
  std::vector<int64_t> offsets{0};

  uint64_t size_bytes() const { return user.size() * 20 + tokens.size() * 4; }
  void write(ShardFamily& family) const {
    const std::vector<DatasetView> datasets = {{"user", std::span(user)},
                                               {"item", std::span(item)},
                                               {"kind", std::span(kind)},
                                               {"offsets", std::span(offsets)},
                                               {"tokens", std::span(tokens)}};
    family.write(static_cast<int64_t>(user.size()), datasets);
  }
};

}  // namespace

void collect_texts(Source& source, const InternalIds& ids, RecordFile<PackedPair>& held_out, IngestFolder& work,
                   std::vector<std::string>& kinds, TextSpool& spool) {
  const MappedFile mapped = held_out.map();
  const std::span pairs(reinterpret_cast<const PackedPair*>(mapped.bytes().data()),
                        mapped.bytes().size() / sizeof(PackedPair));
  TextCollector collector(ids, pairs, work, kinds, spool);
  uint64_t total = 0, done = 0;
  for (const auto& file : source.text_files()) total += std::filesystem::file_size(file);
  Intake intake{work.log, [&](uint64_t bytes) {
                  done += bytes;
                  if (work.options.progress) work.options.progress("reading texts", done, total);
                }};
  source.read_texts(collector, intake);
  work.log.check(work.options.error_limit);
}

void write_texts(TextSpool& spool, const Tokenizer& tokenizer, IngestFolder& work, CorpusManifest& manifest) {
  const PrepareOptions& options = work.options;
  const size_t num_threads =
      options.threads > 0 ? static_cast<size_t>(options.threads) : std::max(1u, std::thread::hardware_concurrency());
  const auto max_tokens = static_cast<size_t>(options.max_text_tokens);
  ShardFamily family(work.folder, "texts");
  TextColumns shard;
  uint64_t done = 0;
  spool.rewind();
  for (TextBatch batch; batch.read(spool);) {
    batch.encode(tokenizer, num_threads);
    for (size_t n = 0; n < batch.entries.size(); ++n) {
      auto& tokens = batch.tokens[n];
      work.report.cut_texts += tokens.size() > max_tokens ? 1 : 0;
      tokens.resize(std::min(tokens.size(), max_tokens));
      shard.user.push_back(batch.entries[n].user);
      shard.item.push_back(batch.entries[n].item);
      shard.kind.push_back(batch.entries[n].kind);
      shard.tokens.insert(shard.tokens.end(), tokens.begin(), tokens.end());
      shard.offsets.push_back(static_cast<int64_t>(shard.tokens.size()));
      ++manifest.num_texts;
      manifest.num_text_tokens += static_cast<int64_t>(tokens.size());
      if (shard.size_bytes() < options.shard_bytes) continue;
      shard.write(family);
      shard = TextColumns();
    }
    done += batch.entries.size();
    if (options.progress) options.progress("tokenising", done, spool.size());
  }
  if (!shard.user.empty()) shard.write(family);
  manifest.texts = family.entries();
}

}  // namespace cllm
