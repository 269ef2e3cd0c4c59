#include "data/corpus/corpus.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <stdexcept>

#include "data/corpus/files.h"
#include "data/corpus/manifest.h"
#include "data/corpus/shards.h"
#include "data/errors.h"
#include "data/random.h"

namespace cllm {
namespace {

constexpr uint64_t kMaxManifestBytes = uint64_t{256} << 20;  // about a million shards

/// The shard that holds a global row.
template <typename S>
const S& shard_of(const std::vector<S>& shards, int64_t row, int64_t num_rows) {
  if (row < 0 || row >= num_rows)
    throw std::out_of_range("corpus row " + std::to_string(row) + " of " + std::to_string(num_rows));
  const auto after =
      std::partition_point(shards.begin(), shards.end(), [&](const S& shard) { return shard.first_row <= row; });
  return *(after - 1);
}

template <typename S>
std::optional<int64_t> find_in(const std::vector<S>& shards, std::string_view raw_id) {
  for (const S& shard : shards) {
    if (const auto local = shard.find(raw_id)) return shard.first_row + *local;
  }
  return std::nullopt;
}

/// Signed values as unsigned: one comparison catches negative values too. No early exit, so that the loop is
/// vectorised.
bool all_below(std::span<const int32_t> values, int64_t bound) {
  uint32_t largest = 0;
  for (const int32_t value : values) largest = std::max(largest, static_cast<uint32_t>(value));
  return values.empty() || largest < static_cast<uint64_t>(bound);
}

/// Do both hold the same ids? Sums of hashes do not depend on the order, and damage does not keep them.
bool same_items(std::span<const int32_t> ascending, std::span<const int32_t> history) {
  uint64_t difference = 0;
  for (size_t n = 0; n < ascending.size(); ++n)
    difference += mix64(static_cast<uint64_t>(ascending[n])) - mix64(static_cast<uint64_t>(history[n]));
  return difference == 0;
}

void verify(const std::filesystem::path& dir, const FileEntry& entry) {
  const std::string found = checksum_of_file(dir / entry.name);
  if (found != entry.xxh3) {
    throw DataError((dir / entry.name).string() + ": checksum " + found + ", the manifest says " + entry.xxh3 +
                    "; copy the corpus again");
  }
}

}  // namespace

struct Corpus::State {  // NOLINT(bugprone-exception-escape): of the JSON of its manifest
  std::filesystem::path dir;
  std::string text;  // corpus.json
  CorpusManifest manifest;
  std::vector<UserShard> users;
  std::vector<IdShard> items;
  std::vector<TextShard> texts;

  void open_shards() {
    for (const CorpusShard& entry : manifest.users) users.push_back(open_users(dir, entry, manifest.columns));
    for (const CorpusShard& entry : manifest.items) items.push_back(open_items(dir, entry));
    for (const CorpusShard& entry : manifest.texts) texts.push_back(open_texts(dir, entry, manifest.columns));
  }
  [[noreturn]] void fail(const char* column, int64_t user, Part part) const {
    throw DataError(dir.string() + ": the " + std::string(kPartNames[static_cast<size_t>(part)]) + " " + column +
                    " of user " + std::to_string(user) +
                    " are damaged; verify its checksums: cllm4rec inspect --verify");
  }
  void check_totals() const {
    for (size_t part = 0; part < kNumParts; ++part) {
      int64_t found = 0;
      for (const UserShard& shard : users) found += static_cast<int64_t>(shard.parts[part].items.values.size());
      compare(found, manifest.num_interactions[part], std::string(kPartNames[part]) + " interactions");
    }
    int64_t tokens = 0;
    for (const TextShard& shard : texts) tokens += static_cast<int64_t>(shard.tokens.values.size());
    compare(tokens, manifest.num_text_tokens, "text tokens");
  }
  void compare(int64_t found, int64_t expected, const std::string& what) const {
    if (found == expected) return;
    throw DataError(dir.string() + ": the shards hold " + std::to_string(found) + " " + what + ", the manifest says " +
                    std::to_string(expected));
  }
  void check_files(bool checksums) const {
    for (const FileEntry& entry : manifest.tokenizer) {
      std::error_code error;
      if (std::filesystem::file_size(dir / entry.name, error) != entry.bytes || error) {
        throw DataError((dir / entry.name).string() + ": missing, or not the " + std::to_string(entry.bytes) +
                        " bytes that the manifest says");
      }
      if (checksums) verify(dir, entry);
    }
    if (!checksums) return;
    for (const auto* family : {&manifest.users, &manifest.items, &manifest.texts}) {
      for (const CorpusShard& shard : *family) verify(dir, shard.file);
    }
  }
};

Corpus::Corpus(std::shared_ptr<const State> state) : state_(std::move(state)) {}

Corpus Corpus::open(const std::filesystem::path& dir, bool verify_checksums) {
  const std::filesystem::path path = dir / kManifestName;
  if (!std::filesystem::exists(path)) {
    throw DataError(path.string() + ": no such file; is this a folder that `cllm4rec prepare` wrote to the end?");
  }
  auto state = std::make_shared<State>();
  state->dir = dir;
  state->text = read_small_file(path, kMaxManifestBytes);
  state->manifest = CorpusManifest::parse(state->text, path);
  state->open_shards();
  state->check_totals();
  state->check_files(verify_checksums);
  return Corpus(std::move(state));
}

const Vocabulary& Corpus::vocabulary() const { return state_->manifest.vocabulary; }

std::span<const int32_t> Corpus::items(int64_t user, Part part) const {
  const UserShard& shard = shard_of(state_->users, user, vocabulary().num_users);
  const auto row = shard.of(part).items.row(user - shard.first_row);
  if (!all_below(row, vocabulary().num_items) ||
      std::adjacent_find(row.begin(), row.end(), std::greater_equal<>()) != row.end()) {
    state_->fail("items", user, part);
  }
  return row;
}

int64_t Corpus::num_items(int64_t user, Part part) const {
  const UserShard& shard = shard_of(state_->users, user, vocabulary().num_users);
  return static_cast<int64_t>(shard.of(part).items.row(user - shard.first_row).size());
}

std::span<const int32_t> Corpus::history(int64_t user, Part part) const {
  const auto ascending = items(user, part);
  if (!state_->manifest.columns.histories) return ascending;
  const UserShard& shard = shard_of(state_->users, user, vocabulary().num_users);
  const auto row = shard.of(part).history.row(user - shard.first_row);
  if (!all_below(row, vocabulary().num_items) || !same_items(ascending, row)) state_->fail("history", user, part);
  return row;
}

std::span<const int64_t> Corpus::times(int64_t user, Part part) const {
  const UserShard& shard = shard_of(state_->users, user, vocabulary().num_users);
  if (!has_times()) return {};
  const auto row = shard.of(part).times.row(user - shard.first_row);
  if (!std::is_sorted(row.begin(), row.end())) state_->fail("times", user, part);
  return row;
}

std::span<const float> Corpus::ratings(int64_t user, Part part) const {
  const UserShard& shard = shard_of(state_->users, user, vocabulary().num_users);
  if (!has_ratings()) return {};
  const auto row = shard.of(part).ratings.row(user - shard.first_row);
  if (std::any_of(row.begin(), row.end(), [](float rating) { return std::isinf(rating); }))
    state_->fail("ratings", user, part);
  return row;
}

const std::vector<Ancestor>& Corpus::ancestors() const { return state_->manifest.ancestors; }

int64_t Corpus::num_new(int64_t user) const {
  const int64_t all = num_items(user, Part::kTrain);
  if (!state_->manifest.columns.news) return all;
  const UserShard& shard = shard_of(state_->users, user, vocabulary().num_users);
  const int64_t count = shard.train_new[static_cast<size_t>(user - shard.first_row)];
  if (count < 0 || count > all) state_->fail("new items", user, Part::kTrain);
  return count;
}

bool Corpus::has_times() const { return state_->manifest.columns.times; }
bool Corpus::has_ratings() const { return state_->manifest.columns.ratings; }

int64_t Corpus::num_interactions(Part part) const {
  return state_->manifest.num_interactions[static_cast<size_t>(part)];
}

int64_t Corpus::num_texts() const { return state_->manifest.num_texts; }
int64_t Corpus::num_text_tokens() const { return state_->manifest.num_text_tokens; }
const std::vector<std::string>& Corpus::text_kinds() const { return state_->manifest.text_kinds; }

TextSample Corpus::text(int64_t n) const {
  const TextShard& shard = shard_of(state_->texts, n, num_texts());
  const int64_t local = n - shard.first_row;
  const auto at = static_cast<size_t>(local);
  const TextSample sample{shard.user[at], shard.item[at], shard.kind[at], shard.tokens.row(local)};
  const bool good = sample.user >= -1 && sample.user < vocabulary().num_users && sample.item >= -1 &&
                    sample.item < vocabulary().num_items && sample.kind >= 0 &&
                    sample.kind < static_cast<int32_t>(text_kinds().size()) && !sample.tokens.empty() &&
                    all_below(sample.tokens, vocabulary().num_words);
  if (!good)
    throw DataError(dir().string() + ": text " + std::to_string(n) +
                    " is damaged; verify its checksums: cllm4rec inspect --verify");
  return sample;
}

int64_t Corpus::text_length(int64_t n) const {
  const TextShard& shard = shard_of(state_->texts, n, num_texts());
  return static_cast<int64_t>(shard.tokens.row(n - shard.first_row).size());
}

std::string_view Corpus::raw_text(int64_t n) const {
  const TextShard& shard = shard_of(state_->texts, n, num_texts());
  if (!state_->manifest.columns.raw_texts) {
    throw DataError(dir().string() + ": is of format version 1, which keeps no raw texts; prepare it anew");
  }
  const auto bytes = shard.raw.row(n - shard.first_row);
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

std::string_view Corpus::user_raw_id(int64_t user) const {
  const UserShard& shard = shard_of(state_->users, user, vocabulary().num_users);
  return shard.raw_id(user - shard.first_row);
}

std::string_view Corpus::item_raw_id(int64_t item) const {
  const IdShard& shard = shard_of(state_->items, item, vocabulary().num_items);
  return shard.raw_id(item - shard.first_row);
}

std::optional<int64_t> Corpus::find_user(std::string_view raw_id) const { return find_in(state_->users, raw_id); }
std::optional<int64_t> Corpus::find_item(std::string_view raw_id) const { return find_in(state_->items, raw_id); }

int64_t Corpus::user_input_order(int64_t user) const {
  const UserShard& shard = shard_of(state_->users, user, vocabulary().num_users);
  return shard.input_order[static_cast<size_t>(user - shard.first_row)];
}

int64_t Corpus::item_input_order(int64_t item) const {
  const IdShard& shard = shard_of(state_->items, item, vocabulary().num_items);
  return shard.input_order[static_cast<size_t>(item - shard.first_row)];
}

std::filesystem::path Corpus::tokenizer_dir() const { return dir() / kTokenizerFolder; }
const std::string& Corpus::tokenizer_fingerprint() const { return state_->manifest.tokenizer_fingerprint; }
const std::string& Corpus::fingerprint() const { return state_->manifest.fingerprint; }
int Corpus::version() const { return state_->manifest.version; }
const std::string& Corpus::manifest() const { return state_->text; }
const std::filesystem::path& Corpus::dir() const { return state_->dir; }

}  // namespace cllm
