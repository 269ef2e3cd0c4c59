#pragma once

#include <ATen/core/Tensor.h>

#include "data/corpus/corpus.h"

namespace cllm {

/// The TF-IDF vectors of users' and items' texts, (1 + ln tf) (1 + ln((1 + V) / (1 + df))) over the V of them that have
/// one, of length 1, in the `dims` directions in which they have most weight (Halko, Martinsson & Tropp 2011: a random
/// projection, two power iterations): fp64 [users + items, at most dims + 16], 0 for a row without text. Texts of pairs
/// do not count. A pure function of the corpus. Local; memory is that of the result three times.
at::Tensor tf_idf_vectors(const Corpus& corpus, int64_t dims);

}  // namespace cllm
