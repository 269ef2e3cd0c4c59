#include "data/ingest/extend.h"

#include <xxhash.h>

#include <algorithm>
#include <tuple>
#include <utility>

#include "data/errors.h"
#include "data/text/tokenizer.h"

namespace cllm {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

constexpr uint64_t kTextShare = 8;  // of the memory limit, for the hashes of texts

SplitMethod split_named(const std::string& name) {
  if (name == "random") return SplitMethod::kRandom;
  if (name == "leave_last_out") return SplitMethod::kLeaveLastOut;
  return name == "time" ? SplitMethod::kTime : SplitMethod::kFile;
}

void adopt(const Json& from, PrepareOptions& options) {
  if (!from.at("rating_threshold").is_null()) options.rating_threshold = from.at("rating_threshold").get<double>();
  options.seed = from.at("seed").get<uint64_t>();
  options.max_text_tokens = from.at("max_text_tokens").get<int64_t>();
  options.shard_bytes = from.at("shard_bytes").get<uint64_t>();
  options.merge_duplicates = options.merge_duplicates || from.at("merge_duplicates").get<bool>();
  if (options.keep_filters) {
    options.k_core = from.at("k_core").get<int64_t>();
    options.min_history = from.at("min_history").get<int64_t>();
  }
  if (!options.keep_split) return;
  options.split = split_named(from.at("split").get<std::string>());
  if (options.split == SplitMethod::kTime)
    options.time_shares = from.at("split_shares").get<std::array<double, kNumParts>>();
  if (options.split == SplitMethod::kFile) {
    throw DataError(options.extend.string() +
                    " was split by a file: name one that has the new interactions, too, or another split (--split)");
  }
}

void check_tokenizer(const Corpus& corpus, PrepareOptions& options) {
  const std::string name = corpus.dir().string();
  if (options.train_tokenizer > 0) {
    throw DataError(
        "the texts of " + name +
        " are tokens of its own tokenizer: leave --train-tokenizer out, or use `cllm4rec retokenize` first");
  }
  if (!options.tokenizer.empty()) {
    const std::string found = Tokenizer::load(options.tokenizer).fingerprint();
    if (found != corpus.tokenizer_fingerprint()) {
      throw DataError(options.tokenizer.string() + " is not the tokenizer of " + name + " (fingerprint " + found +
                      ", there " + corpus.tokenizer_fingerprint() + "): leave --tokenizer out, or run `cllm4rec " +
                      "retokenize " + name + " --tokenizer " + options.tokenizer.string() + "` first");
    }
  }
  options.tokenizer = corpus.tokenizer_dir();
}

/// Internal ids in the order of the input.
template <typename OrderOf>
std::vector<uint32_t> in_input_order(int64_t count, OrderOf&& order_of) {
  std::vector<std::pair<int64_t, uint32_t>> places;
  places.reserve(static_cast<size_t>(count));
  for (int64_t id = 0; id < count; ++id) places.emplace_back(order_of(id), static_cast<uint32_t>(id));
  std::sort(places.begin(), places.end());
  std::vector<uint32_t> out;
  out.reserve(places.size());
  for (const auto& [place, id] : places) out.push_back(id);
  return out;
}

std::vector<uint32_t> inverse_of(const std::vector<uint32_t>& internal) {
  std::vector<uint32_t> out(internal.size());
  for (size_t n = 0; n < internal.size(); ++n) out[internal[n]] = static_cast<uint32_t>(n);
  return out;
}

/// One user's interactions, earlier first; equal times: training, validation, test.
std::vector<Pair> history_of(const Corpus& corpus, int64_t user, const std::vector<uint32_t>& item_numbers) {
  std::vector<Pair> out;
  for (int part = 0; part < kNumParts; ++part) {
    const auto items = corpus.history(user, static_cast<Part>(part));
    const auto times = corpus.times(user, static_cast<Part>(part));
    const auto ratings = corpus.ratings(user, static_cast<Part>(part));
    for (size_t n = 0; n < items.size(); ++n) {
      Pair pair;
      pair.item = item_numbers[static_cast<size_t>(items[n])];
      pair.time = times.empty() ? 0 : times[n];
      pair.part = static_cast<uint64_t>(part) & 3;
      pair.known = 1;
      pair.trained = part == 0 ? 1 : 0;
      if (!ratings.empty()) pair.rating = ratings[n];
      out.push_back(pair);
    }
  }
  std::stable_sort(out.begin(), out.end(), [](const Pair& a, const Pair& b) { return a.time < b.time; });
  return out;
}

}  // namespace

std::optional<Predecessor> open_predecessor(PrepareOptions& options) {
  if (options.extend.empty()) return std::nullopt;
  Corpus corpus = Corpus::open(options.extend, true);
  CorpusManifest manifest = CorpusManifest::parse(corpus.manifest(), options.extend / kManifestName);
  if (manifest.version == 1) {
    throw DataError(options.extend.string() +
                    " is of format version 1, which keeps no order and no raw texts: prepare all anew");
  }
  try {
    adopt(manifest.options, options);
  } catch (const Json::exception& error) {
    throw DataError((options.extend / kManifestName).string() + ": damaged: options: " + error.what());
  }
  check_tokenizer(corpus, options);
  return Predecessor{std::move(corpus), std::move(manifest)};
}

void begin_with(const Predecessor& before, IngestFolder& work, CorpusManifest& manifest) {
  const Corpus& corpus = before.corpus;
  const Vocabulary& sizes = corpus.vocabulary();
  work.before = &before;
  work.old_users = in_input_order(sizes.num_users, [&](int64_t id) { return corpus.user_input_order(id); });
  work.old_items = in_input_order(sizes.num_items, [&](int64_t id) { return corpus.item_input_order(id); });
  for (const uint32_t user : work.old_users) work.users.intern(corpus.user_raw_id(user));
  for (const uint32_t item : work.old_items) work.items.intern(corpus.item_raw_id(item));
  if (work.users.size() != work.old_users.size() || work.items.size() != work.old_items.size())
    throw DataError(corpus.dir().string() +
                    ": a raw id is there twice; verify its checksums: cllm4rec inspect --verify");
  manifest.text_kinds = before.manifest.text_kinds;
  manifest.ancestors = before.manifest.ancestors;
  manifest.ancestors.insert(manifest.ancestors.begin(),
                            {corpus.fingerprint(), sizes.num_users, sizes.num_items, corpus.num_texts()});
}

void for_each_old_pair(IngestFolder& work, const std::function<void(const Pair&)>& add) {
  const Corpus& corpus = work.before->corpus;
  const std::vector<uint32_t> item_numbers = inverse_of(work.old_items);
  for (size_t number = 0; number < work.old_users.size(); ++number) {
    uint64_t place = 0;
    for (Pair pair : history_of(corpus, work.old_users[number], item_numbers)) {
      pair.user = static_cast<uint32_t>(number);
      pair.line = place++ & 0xFFFFFFFFFFF;
      add(pair);
      ++work.rows;
      work.timed_rows += corpus.has_times() ? 1 : 0;
      work.rated_rows += corpus.has_ratings() ? 1 : 0;
    }
  }
}

uint64_t hash_of(const TextEntry& text) {
  const int32_t about[3] = {text.user, text.item, text.kind};
  return XXH3_64bits_withSeed(text.text.data(), text.text.size(), XXH3_64bits(about, sizeof about));
}

void add_old_texts(const Predecessor& before, IngestFolder& work, TextSpool& spool) {
  const Corpus& corpus = before.corpus;
  const auto needed = static_cast<uint64_t>(corpus.num_texts()) * 8;
  if (needed > work.options.memory_bytes / kTextShare) {
    throw DataError("the " + std::to_string(corpus.num_texts()) + " texts of " + corpus.dir().string() +
                    " need more than an eighth of the memory limit; allow at least " +
                    std::to_string((needed * kTextShare >> 20) + 1) + " MiB");
  }
  work.old_texts.reserve(static_cast<size_t>(corpus.num_texts()));
  for (int64_t n = 0; n < corpus.num_texts(); ++n) {
    const TextSample text = corpus.text(n);
    const TextEntry entry{static_cast<int32_t>(text.user), static_cast<int32_t>(text.item), text.kind,
                          std::string(corpus.raw_text(n))};
    work.old_texts.push_back(hash_of(entry));
    spool.add(entry);
  }
  std::sort(work.old_texts.begin(), work.old_texts.end());
}

void keep_origin(const Predecessor& before, Json& options) {
  for (const char* key : {"tokenizer", "train_tokenizer"}) options[key] = before.manifest.options.at(key);
}

}  // namespace cllm
