#pragma once

#include <array>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "data/corpus/corpus.h"
#include "data/ingest/source.h"

namespace cllm {

enum class SplitMethod {
  kRandom,        // per user 10 % validation and 10 % test, at least one each; users with fewer than 3 items train only
  kLeaveLastOut,  // per user the last item in time for test, the one before for validation; fewer than 3: train only
  kTime,  // over all users: the first share of the interactions in time for training, then validation, then test
  kFile,  // user, item, part (train, val or validation, test) by raw ids
};

constexpr bool needs_times(SplitMethod split) {
  return split == SplitMethod::kLeaveLastOut || split == SplitMethod::kTime;
}

/// Called often from the calling thread; total 0: not known.
using Progress = std::function<void(const char* phase, uint64_t done, uint64_t total)>;

struct PrepareOptions {
  std::filesystem::path input;   // folder with the raw files
  std::filesystem::path output;  // the corpus; must not exist unless overwrite
  bool overwrite = false;
  SourceOptions source;
  /// A corpus of version 2 that the new one begins with: its users, items and texts keep their numbers, those of the
  /// input come behind them. Tokenizer, seed, rating threshold, max_text_tokens and shard_bytes are its own; so are the
  /// filters (which only remove what is new) and the split where `keep_` says so. Empty: none.
  std::filesystem::path extend;
  bool keep_filters = false, keep_split = false;

  std::optional<double> rating_threshold;  // keep interactions with at least this rating
  int64_t k_core = 0;       // keep users and items with at least so many interactions, iterated until stable
  int64_t min_history = 0;  // the same, of users only
  SplitMethod split = SplitMethod::kRandom;
  std::filesystem::path split_file;
  std::array<double, kNumParts> time_shares{0.8, 0.1, 0.1};  // of the split by time
  uint64_t seed = 0;                                         // of the split and of the permutation of internal ids

  std::filesystem::path tokenizer;  // a folder with Hugging Face files; or
  int64_t train_tokenizer = 0;      // train one of this size on the texts that are kept
  int64_t max_text_tokens = 512;    // longer texts are cut

  bool strict = false;        // what the audit of leaks finds is an error
  double error_limit = 0.01;  // refuse if more than this share of the rows is bad
  bool merge_duplicates =
      false;  // a user-item pair that occurs again is normal (event logs), not a bad row; the first in time counts
  uint64_t memory_bytes = uint64_t{2} << 30;
  uint64_t shard_bytes = uint64_t{64} << 20;  // of one output file, about
  int threads = 0;                            // for tokenisation; 0: all cores
  Progress progress;
};

/// One thing that the audit of held-out data looks for in the texts of the corpus.
struct LeakCheck {
  std::string what;    // "texts of users that name the raw id of an item held out from them"
  uint64_t found = 0;  // texts
  uint64_t looked_at = 0;
  double by_chance = 0;               // as many were to be expected if the held-out items were any others
  std::vector<std::string> examples;  // "user u1, held-out item i7: '...'"
};

struct PrepareReport {
  Vocabulary vocabulary;
  std::array<int64_t, kNumParts> num_interactions{};
  int64_t num_texts = 0, num_text_tokens = 0;
  uint64_t rows_read = 0;
  uint64_t below_threshold = 0;                      // interactions
  uint64_t duplicates_merged = 0;                    // only with merge_duplicates, or of a layout that is an event log
  uint64_t known_interactions = 0, known_texts = 0;  // of the input, which the corpus that is extended has already
  int64_t old_users = 0, old_items = 0;              // of that corpus
  uint64_t without_time = 0;                         // interactions, where others have one
  uint64_t filtered_interactions = 0, filtered_users = 0, filtered_items = 0;  // by k-core and minimum history
  uint64_t split_rows_unused = 0;  // pairs of the split file that the rating threshold had removed
  struct TimeSplit {
    std::optional<int64_t> validation_from, test_from;  // the first time of the part; none: it is empty
    uint64_t late_users = 0, late_items = 0;            // all of their interactions are held out
  };
  std::optional<TimeSplit> time_split;
  uint64_t held_out_texts = 0;  // texts of held-out pairs: left out
  uint64_t unused_texts = 0;    // empty, or of users and items that are not in the corpus
  uint64_t cut_texts = 0;       // longer than max_text_tokens
  struct Bad {
    std::string problem;
    uint64_t count;
    std::vector<std::string> examples;  // "file:line: detail"
  };
  std::vector<Bad> bad_rows;
  std::vector<LeakCheck> leaks;      // checks that found something
  std::vector<std::string> notices;  // for a person to read
};

/// Reads raw files and writes a corpus. Memory stays within memory_bytes whatever the number of interactions and texts;
/// only the maps of raw ids grow with users + items (about 60 bytes and the id's characters each; too many of them for
/// memory_bytes is a DataError). The same input and options (memory, threads and folder names aside) give the same
/// bytes. The corpus appears by one rename at the end.
PrepareReport prepare(const PrepareOptions& options);

/// The report as lines for a terminal.
std::string describe(const PrepareReport& report);

}  // namespace cllm
