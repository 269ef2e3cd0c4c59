#include "model/recommenders/cllm4rec/text/word_means.h"

#include <ATen/ops/tensor.h>
#include <ATen/ops/zeros.h>

#include "model/kernels/compute_dtype.h"

namespace cllm {

at::Tensor centred_text_means(const Corpus& corpus, const WordSet& words, const at::Tensor& words_ND,
                              const RowLayout& layout) {
  const Vocabulary& vocabulary = corpus.vocabulary();
  at::Tensor sums = at::zeros({layout.num_local_rows(), words_ND.size(1)}, words_ND.options().dtype(at::kFloat));
  at::Tensor counts = at::zeros({layout.num_local_rows(), 1}, sums.options());
  const at::Tensor mean_D = words_ND.to(at::kFloat).mean(0);
  for (int64_t n = 0; n < corpus.num_texts(); ++n) {
    const TextSample text = corpus.text(n);
    if (text.user >= 0 && text.item >= 0) continue;  // a review tells of both: not a text of its own
    const int64_t row = text.user >= 0 ? text.user : vocabulary.num_users + text.item;
    if (layout.owner(row) != layout.rank()) continue;
    const at::Tensor ids = at::tensor(words.own(text.tokens), at::kInt);
    const auto tokens = static_cast<double>(text.tokens.size());
    sums[layout.local(row)]
        .add_(words_ND.index_select(0, ids).to(residual_dtype(words_ND.scalar_type())).sum(0).to(at::kFloat))
        .sub_(mean_D, tokens);
    counts[layout.local(row)].add_(tokens);
  }
  return sums.div_(counts.clamp_min_(1));
}

}  // namespace cllm
