#pragma once

// trials.jsonl: all that a search knows. Line 1 says of which search it is; then one line for each rung of a trial, in
// the order in which they were trained, for time that a stopped rung took, and for each run of a seed.

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "launch/tune/draw.h"
#include "launch/tune/halving.h"

namespace cllm {

struct TrialRecord {
  int64_t trial = 0;
  int rung = 0;
  std::optional<double> score = {};  // the best validation so far
  std::string failure = {};          // why there is none
  int64_t epochs = 0, best_epoch = 0, epochs_of_program = 0;
  bool ended = false;  // nothing is left to train
  double seconds = 0;  // of this rung
  DrawnValues values = {};
};

/// A run of the best configuration with another seed.
struct SeedRecord {
  int64_t seed = 0, trial = 0;
  double score = 0, seconds = 0;
  std::map<std::string, double> test = {};
};

struct SearchState {
  std::string search;  // JSON: what makes two searches differ
  std::vector<TrialRecord> trials;
  std::vector<SeedRecord> seeds;
  double stopped_s = 0;  // of rungs that were stopped

  std::vector<RungScore> scores() const;
  /// The last record of a trial; null: none.
  const TrialRecord* last_of(int64_t trial) const;
  /// The last record of the trial with the best score, ties to the lower number; null: none has one.
  const TrialRecord* best() const;
  /// Of all trials.
  double seconds() const;
};

std::string to_jsonl(const SearchState& state);
/// The inverse; "" is a search without a line. Throws DataError with `path` and the line.
SearchState parse_search(const std::string& text, const std::string& path);

/// A row per trial: its number, epochs, score, ...; as TSV in their order, and as markdown, the best `most` first.
std::string trials_tsv(const SearchState& state);
std::string trials_markdown(const SearchState& state, size_t most);
/// Mean and standard deviation of every metric over the seeds; "" without them.
std::string seeds_markdown(const SearchState& state);

}  // namespace cllm
