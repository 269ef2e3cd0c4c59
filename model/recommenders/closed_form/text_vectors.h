#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "data/corpus/corpus.h"

namespace cllm {

struct TextVectorOptions {
  int64_t words = 0;         // most frequent ones that are kept; 0: all
  double largest_share = 1;  // of the items; a word in more of them is left out
};

/// TF-IDF vectors F [d, J] of the items: of all texts about an item alone (no text of a user or of a pair),
/// f_wj = (1 + ln tf) (1 + ln((1 + J) / (1 + df))), columns of length 1, 0 for an item without text. Sparse.
class TextVectors {
 public:
  TextVectors(const Corpus& corpus, const TextVectorOptions& options);

  /// Adds row `item` of F^T F: cosines to all items, summed in the order of the words.
  void add_gram_row(int64_t item, std::span<double> row_J) const;
  int64_t num_entries() const { return static_cast<int64_t>(entries_.size()); }

 private:
  struct Entry {
    int32_t word;
    double value;
  };
  struct Posting {
    int32_t item;
    double value;
  };
  std::vector<int64_t> item_start_, word_start_;  // [J+1], [N+1]
  std::vector<Entry> entries_;                    // by item, words ascending
  std::vector<Posting> postings_;                 // by word, items ascending
};

}  // namespace cllm
