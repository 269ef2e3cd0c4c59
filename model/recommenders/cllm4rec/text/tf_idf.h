#pragma once

#include <ATen/core/Tensor.h>

#include <vector>

#include "data/corpus/corpus.h"

namespace cllm {

/// The TF-IDF vectors of users' and items' texts, (1 + ln tf) (1 + ln((1 + V) / (1 + df))) over the V of them that have
/// one, of length 1, in the directions in which they have most weight (Halko, Martinsson & Tropp 2011: a random
/// projection, two power iterations). Texts of pairs do not count.
struct TfIdf {
  std::vector<double> weight_N;  // of every word by its df; 0: no text had it
  at::Tensor basis_Nk;           // k: at most dims + 16

  /// Weights and directions of a corpus, a pure function of it. Local; memory is that of its vectors three times.
  static TfIdf of(const Corpus& corpus, int64_t dims);

  /// Of this corpus, or of another one with the same tokenizer, whose new words do not count: fp64 [users + items, k],
  /// 0 for a row without text. Local.
  at::Tensor vectors(const Corpus& corpus) const;
};

}  // namespace cllm
