#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "data/vocabulary.h"

namespace cllm {

enum class Part : uint8_t { kTrain, kValidation, kTest };
inline constexpr int kNumParts = 3;
inline constexpr std::string_view kPartNames[kNumParts] = {"train", "validation", "test"};

/// One text about a user, an item or a pair. Views into the corpus: valid while any copy of the Corpus lives.
struct TextSample {
  int64_t user = -1;                // internal id, -1: absent
  int64_t item = -1;                // internal id, -1: absent
  int32_t kind = 0;                 // index into Corpus::text_kinds()
  std::span<const int32_t> tokens;  // word ids, 0 .. num_words - 1; at least one
};

/// A corpus that another one extends (prepare --extend): its users, items and texts are the first of the other's, under
/// the same numbers.
struct Ancestor {
  std::string fingerprint;
  int64_t users = 0, items = 0, texts = 0;
};

/// What `prepare` wrote (format: data/README.md), memory-mapped: ranks of a host share the page cache, and memory is
/// not proportional to the corpus. Immutable and thread-safe; a copy shares the mapping. Internal ids are a seeded
/// permutation of the input's order. Every access checks the values that it hands out, so a damaged file is a DataError
/// and never an id out of range. An id or index argument out of range is a programmer's error: std::out_of_range.
class Corpus {
 public:
  /// Checks the manifest, the size of every file, and the shape, type and place of every dataset against it; with
  /// verify_checksums also the bytes of every file (reads all of it, about 7 GB/s). DataError: missing, other format
  /// version, size or checksum mismatch. Uses HDF5, which is not thread-safe here: open no HDF5 file in another thread
  /// meanwhile.
  static Corpus open(const std::filesystem::path& dir, bool verify_checksums = false);

  const Vocabulary& vocabulary() const;  // num_words is the size of the tokenizer

  std::span<const int32_t> items(int64_t user, Part part) const;  // internal item ids, ascending, distinct
  int64_t num_items(int64_t user, Part part) const;               // its length without touching the items

  /// The same items in time order; equal times: as they stood in the input. Version 1 kept no order: ascending.
  std::span<const int32_t> history(int64_t user, Part part) const;
  /// Of history(), entry by entry and ascending: seconds, or whatever number the input had; 0 where a row had none.
  /// Empty unless has_times().
  std::span<const int64_t> times(int64_t user, Part part) const;
  /// Of history(), entry by entry; NaN where a row had none. Empty unless has_ratings().
  std::span<const float> ratings(int64_t user, Part part) const;
  bool has_times() const;  // false: the input had no times, or the corpus is of version 1
  bool has_ratings() const;
  int64_t num_interactions(Part part) const;

  /// What this corpus grew from, the latest first; empty: from nothing.
  const std::vector<Ancestor>& ancestors() const;
  /// Training items of the user that the latest ancestor does not train on; without ancestors all are new.
  int64_t num_new(int64_t user) const;

  int64_t num_texts() const;
  TextSample text(int64_t n) const;
  int64_t text_length(int64_t n) const;  // tokens, without touching them
  int64_t num_text_tokens() const;
  /// What text n was before it was tokenised: UTF-8 without blanks at the ends, not longer than 64 bytes per token that
  /// was allowed. DataError for a corpus of version 1, which has tokens only.
  std::string_view raw_text(int64_t n) const;
  const std::vector<std::string>& text_kinds() const;  // "biography", "content", "title", ..., "review"

  std::string_view user_raw_id(int64_t user) const;
  std::string_view item_raw_id(int64_t item) const;
  std::optional<int64_t> find_user(std::string_view raw_id) const;  // O(shards * log(rows))
  std::optional<int64_t> find_item(std::string_view raw_id) const;
  int64_t user_input_order(int64_t user) const;  // the permutation: 0-based place of the user in the input
  int64_t item_input_order(int64_t item) const;

  std::filesystem::path tokenizer_dir() const;  // the tokenizer's files, a copy inside the corpus
  const std::string& tokenizer_fingerprint() const;
  const std::string& fingerprint() const;  // digest of the whole corpus
  int version() const;                     // of the format
  const std::string& manifest() const;     // corpus.json as text: counts, split, all options, report of the ingest
  const std::filesystem::path& dir() const;

 private:
  struct State;
  explicit Corpus(std::shared_ptr<const State> state);
  std::shared_ptr<const State> state_;
};

}  // namespace cllm
