#pragma once

// Letters: P targets (titles to be written), A tokens that predict.

#include <cstdint>
#include <span>
#include <vector>

#include "data/sampling/batch.h"
#include "model/losses/soft_labels.h"
#include "model/recommenders/titles/options.h"
#include "model/recommenders/titles/trie.h"

namespace cllm {

/// What a rank trains on in a step.
struct TitleBatch {
  Batch batch;                      // targets: the next token of every predicting one; weights: 1 / tokens of all ranks
  std::vector<int32_t> nodes;       // [A] of the trie, whose children can follow
  std::vector<int64_t> position_A;  // [A] which of the targets it belongs to
  HistoryLists histories;           // of the sequences: all items before their last; a position for each target
};

/// A piece of a user's history: its last item, and where in it.
struct TitleSample {
  int64_t user;
  uint64_t key;
  int64_t end;  // place of the last item in the history, at least 1
};

/// How titles stand in a sequence: start, prompt, then titles, each with its end behind it.
class TitleSequences {
 public:
  /// `opening`: start and prompt, at least one token. `trie` outlives it. OptionError: not even two titles fit.
  TitleSequences(const TitleTrie& trie, std::vector<int32_t> opening, int64_t max_titles, int64_t max_positions);

  /// The newest items of a history whose titles are shown: at most max_titles, and so many as leave room for the
  /// longest title.
  std::span<const int32_t> shown(std::span<const int32_t> history) const;
  /// Tokens before the title that is asked for.
  std::vector<int32_t> prompt(std::span<const int32_t> history) const;

  /// Tokens of a sample, and those of them that are predicted.
  struct Size {
    int64_t tokens = 0, predicted = 0;
  };
  Size size_of(std::span<const int32_t> history, int64_t end, TitleTargets targets) const;
  /// Adds the sample; `weight`: of a predicted token. `history`: all of the user's training items.
  void append(const TitleSample& sample, std::span<const int32_t> history, TitleTargets targets, double weight,
              TitleBatch& out) const;

 private:
  std::span<const int32_t> title(int32_t item) const { return trie_->tokens(trie_->leaf_of(item)); }
  void append_target(int32_t item, int64_t first_token, double weight, TitleBatch& out) const;

  const TitleTrie* trie_;
  std::vector<int32_t> opening_;
  int64_t max_titles_, max_positions_;
};

/// A batch without sequences.
TitleBatch empty_titles(const Vocabulary& vocabulary);

}  // namespace cllm
