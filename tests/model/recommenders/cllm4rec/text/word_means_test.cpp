#include "model/recommenders/cllm4rec/text/word_means.h"

#include <gtest/gtest.h>

#include <ATen/TensorOperators.h>
#include <ATen/ops/zeros.h>

#include "tests/model/recommenders/training.h"

namespace cllm {
namespace {

TEST(WordMeans, ARowIsTheMeanOfTheWordsOfItsTextsLessThatOfAllWords) {
  const Corpus& corpus = testing::training_corpus();
  const Vocabulary& vocabulary = corpus.vocabulary();
  const at::Tensor words_ND = testing::normal({vocabulary.num_words, 2}, 1);
  const RowLayout whole(vocabulary.num_users, vocabulary.num_items, 0, 1);
  const at::Tensor rows = centred_text_means(corpus, {}, words_ND, whole);
  for (int64_t n = 0; n < corpus.num_texts(); ++n) {
    const TextSample text = corpus.text(n);
    if (text.user >= 0 || text.item < 0) continue;  // an item has one text here
    at::Tensor sum = at::zeros({2}, at::kDouble);
    for (const int32_t word : text.tokens) sum += words_ND[word];
    const at::Tensor want = sum / static_cast<double>(text.tokens.size()) - words_ND.mean(0);
    EXPECT_LT(testing::gap(rows[vocabulary.num_users + text.item], want), 1e-5);
  }
  const RowLayout second(vocabulary.num_users, vocabulary.num_items, 1, 2);
  const at::Tensor mine = centred_text_means(corpus, {}, words_ND, second);
  for (int64_t local = 0; local < second.num_local_rows(); ++local)
    EXPECT_EQ(testing::gap(mine[local], rows[second.global(local)]), 0);
}

}  // namespace
}  // namespace cllm
