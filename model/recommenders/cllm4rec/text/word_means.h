#pragma once

#include <ATen/core/Tensor.h>

#include "data/corpus/corpus.h"
#include "dist/rows/row_layout.h"
#include "model/recommenders/cllm4rec/words/word_set.h"

namespace cllm {

/// Mean over the words of every local row's texts of (embedding - mean embedding of all `words`, which words_ND has),
/// fp32 [local rows, D]; 0 for a row without texts. Texts of pairs do not count. Local.
at::Tensor centred_text_means(const Corpus& corpus, const WordSet& words, const at::Tensor& words_ND,
                              const RowLayout& layout);

}  // namespace cllm
