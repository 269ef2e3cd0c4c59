#pragma once

// Letters: N words of the tokenizer, V words that C-steps predict.

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "data/corpus/corpus.h"
#include "data/text/prompt.h"

namespace cllm {

/// Over which words the content softmax goes: all of the tokenizer, or those that occur in the corpus' texts.
enum class ContentVocabulary { kFull, kCorpus };

/// The words that a run knows, and their ids there: all of the tokenizer with its ids, or (kCorpus) those of the texts,
/// 0 .. V-1, and behind them those that only prompts have; both in the order of the tokenizer. The others have no rows:
/// nothing reads them, and no C-step predicts them.
class WordSet {
 public:
  WordSet() = default;  // all
  WordSet(const Corpus& corpus, const std::vector<const PromptTemplate*>& prompts);

  bool is_all() const { return own_.empty(); }
  /// Ids in the tokenizer by their ids here; empty: all.
  const std::vector<int32_t>& kept() const { return kept_; }
  /// V; 0: all.
  int64_t num_predicted() const { return num_predicted_; }

  /// The id here of a word of the texts or prompts.
  int32_t own(int32_t word) const { return is_all() ? word : own_[static_cast<size_t>(word)]; }
  std::vector<int32_t> own(std::span<const int32_t> words) const;
  PromptTemplate own(const PromptTemplate& prompt) const;
  /// The id space of a run that has these words.
  Vocabulary own(Vocabulary vocabulary) const;

  /// A line with its end, or nothing for all words.
  std::string describe() const;

 private:
  std::vector<int32_t> kept_, own_;  // own_: of all N words, -1 for one that is not kept
  int64_t num_predicted_ = 0;
};

}  // namespace cllm
