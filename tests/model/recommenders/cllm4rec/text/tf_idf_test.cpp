#include "model/recommenders/cllm4rec/text/tf_idf.h"

#include <gtest/gtest.h>

#include <ATen/TensorOperators.h>
#include <ATen/ops/mm.h>
#include <ATen/ops/zeros.h>

#include <cmath>

#include "tests/model/recommenders/training.h"

namespace cllm {
namespace {

namespace tf_idf_rows {

/// The formula with a whole matrix [V, N].
at::Tensor slow(const Corpus& corpus) {
  const Vocabulary& vocabulary = corpus.vocabulary();
  at::Tensor counts = at::zeros({vocabulary.num_users + vocabulary.num_items, vocabulary.num_words}, at::kDouble);
  for (int64_t n = 0; n < corpus.num_texts(); ++n) {
    const TextSample text = corpus.text(n);
    if (text.user >= 0 && text.item >= 0) continue;
    at::Tensor row = counts[text.user >= 0 ? text.user : vocabulary.num_users + text.item];
    for (const int32_t word : text.tokens) row[word] += 1;
  }
  const double V = (counts.sum(1) > 0).sum().item<double>();
  const at::Tensor df = (counts > 0).sum(0).to(at::kDouble);
  const at::Tensor tf = (counts.clamp_min(1).log() + 1) * (counts > 0).to(at::kDouble);
  const at::Tensor x = tf * (((1 + V) / (1 + df)).log() + 1);
  return x / x.square().sum(1, true).sqrt().clamp_min(1e-300);
}

TEST(TfIdf, WithEnoughDirectionsCosinesAreThoseOfTheFormula) {
  const Corpus& corpus = testing::training_corpus();
  const at::Tensor x = slow(corpus), low = TfIdf::of(corpus, 70).vectors(corpus);  // 73 rows
  EXPECT_LT(testing::gap(at::mm(low, low.t()), at::mm(x, x.t())), 1e-9);
}

TEST(TfIdf, FewDirectionsKeepMoreThanAnyOthersCould) {
  const Corpus& corpus = testing::training_corpus();
  const at::Tensor x = slow(corpus), low = TfIdf::of(corpus, 1).vectors(corpus);  // and 16 to spare
  const at::Tensor gram = at::mm(x, x.t());
  EXPECT_GT(low.square().sum().item<double>(), 0.75 * gram.diagonal().sum().item<double>());
  EXPECT_EQ(testing::gap(low, TfIdf::of(corpus, 1).vectors(corpus)), 0);
}

}  // namespace tf_idf_rows
}  // namespace
}  // namespace cllm
