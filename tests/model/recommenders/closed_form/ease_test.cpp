#include "model/recommenders/closed_form/ease.h"

#include <gtest/gtest.h>

#include <ATen/TensorOperators.h>
#include <ATen/ops/diag.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/eye.h>
#include <ATen/ops/full.h>
#include <ATen/ops/linalg_inv.h>
#include <ATen/ops/mm.h>

#include <algorithm>
#include <cmath>

#include "model/errors.h"
#include "model/recommenders/closed_form/available_memory.h"
#include "model/recommenders/closed_form/ease_text.h"
#include "model/recommenders/closed_form/inverse.h"
#include "model/recommenders/closed_form/memory.h"
#include "one_rank.h"
#include "tests/model/recommenders/fitted.h"

namespace cllm::ease_tests {
namespace {

using namespace testing;

class EaseTest : public ::testing::Test {
 protected:
  static void SetUpTestSuite() { small_ = new SmallCorpus; }
  static void TearDownTestSuite() {
    delete small_;
    small_ = nullptr;
  }
  static const Corpus& corpus() { return small_->corpus(); }
  static double objective(const at::Tensor& B, double lambda) {
    const at::Tensor X = training_matrix(corpus());
    return (X - X.mm(B)).square().sum().item<double>() + lambda * B.square().sum().item<double>();
  }

 private:
  static inline SmallCorpus* small_ = nullptr;
};

EaseOptions with_lambda(double lambda) {
  EaseOptions options;
  options.lambda = lambda;
  return options;
}

TEST_F(EaseTest, GramTimesWeightsIsTheGramButForADiagonalOfInverses) {
  constexpr double kLambda = 3;
  OneRank<Ease> ease(corpus(), with_lambda(kLambda));
  run_program(ease.model);
  const at::Tensor X = training_matrix(corpus()), G = X.t().mm(X) + kLambda * at::eye(X.size(1), at::kDouble);
  const at::Tensor P = at::linalg_inv(G), B = ease.rows().to(at::kDouble);
  const at::Tensor rest = G.mm(B) - G + at::diag(P.diagonal().reciprocal());
  EXPECT_LT(rest.abs().max().item<double>(), 1e-5);  // B is stored in fp32
  EXPECT_EQ(B.diagonal().abs().max().item<double>(), 0);
}

TEST_F(EaseTest, LossIsTheObjectiveAndNoChangeOfTheWeightsLowersIt) {
  constexpr double kLambda = 3;
  OneRank<Ease> ease(corpus(), with_lambda(kLambda));
  const StepLosses losses = run_program(ease.model).at(0);
  const at::Tensor B = ease.rows().to(at::kDouble);
  EXPECT_NEAR(losses.loss * kSmallUsers, objective(B, kLambda), 1e-4);
  EXPECT_EQ(losses.num_sequences, kSmallUsers - 2);
  EXPECT_EQ(losses.num_tokens, corpus().num_interactions(Part::kTrain));
  for (const auto& [row, column] : {std::pair{0, 1}, {7, 20}, {29, 3}}) {
    for (const double by : {1e-2, -1e-2}) {
      at::Tensor moved = B.clone();
      moved.mutable_data_ptr<double>()[row * kSmallItems + column] += by;
      EXPECT_GT(objective(moved, kLambda), objective(B, kLambda)) << row << " " << column;
    }
  }
}

TEST_F(EaseTest, ListsAreThoseOfTheRowTimesTheWeights) {
  OneRank<Ease> ease(corpus(), with_lambda(10));
  run_program(ease.model);
  const at::Tensor scores = training_matrix(corpus()).mm(ease.rows().to(at::kDouble));
  const auto queries = training_queries(corpus());
  const auto lists = ease.model.top_items(queries, 7);
  ASSERT_EQ(lists.size(), queries.size());
  for (size_t user = 0; user < lists.size(); ++user) {
    ASSERT_EQ(lists[user].size(), 7u);
    for (size_t n = 0; n < 7; ++n) {
      const ScoredItem& entry = lists[user][n];
      EXPECT_NEAR(entry.score, scores[static_cast<int64_t>(user)][entry.item].item<double>(), 1e-12);
      EXPECT_FALSE(std::ranges::binary_search(queries[user].masked, entry.item));
      if (n > 0) {
        EXPECT_FALSE(entry < lists[user][n - 1]);
      }
    }
  }
}

TEST_F(EaseTest, MoreItemsThanMemoryAreRefusedWithTheBytesAndTheItems) {
  EaseOptions options;
  options.memory_gib = 1e-5;  // 10,737 bytes; 30 items take 2 * 7,200 and more
  try {
    OneRank<Ease> ease(corpus(), options);
    FAIL() << "not refused";
  } catch (const ModelError& error) {
    const std::string message = error.what();
    const int bytes = 2 * 8 * 900 + 8 * 900 + 4 * 900;
    EXPECT_NE(message.find("30 items"), std::string::npos) << message;
    EXPECT_NE(message.find(std::to_string(bytes) + " bytes"), std::string::npos) << message;
    EXPECT_NE(message.find("raise ease.memory_gib"), std::string::npos) << message;
  }
}

TEST_F(EaseTest, MemoryIsThatOfAllRanksOfAHostAndAllRanksRefuse) {
  run_ranks(3, [](Communicator& comm) {
    const Channels channels(comm);
    const OpenArguments arguments{.corpus = corpus(), .channels = channels, .agreed = {}};
    MemoryNeed need{"m", 7, comm.rank() == 1 ? 3000 : 0, 4000.0 / (1 << 30), "", ""};
    EXPECT_NO_THROW(require_memory(arguments, comm, need));
    need.bytes += 1000;  // 6,000 together
    EXPECT_THROW(require_memory(arguments, comm, need), ModelError);
  });
  EXPECT_GT(available_memory(), 1 << 20);
}

TEST_F(EaseTest, ARehearsalChangesNoWeightAndFlopsAreTheGramMatrixAndItsInverse) {
  OneRank<Ease> ease(corpus(), with_lambda(10));
  ease.model.rehearse();
  EXPECT_EQ(ease.rows().abs().max().item<double>(), 0);
  run_program(ease.model);
  const at::Tensor fitted = ease.rows().clone(), X = training_matrix(corpus());
  ease.model.rehearse();
  EXPECT_TRUE(at::equal(ease.rows(), fitted));
  EXPECT_DOUBLE_EQ(ease.model.flops({}, {}), X.t().mm(X).sum().item<double>() + std::pow(kSmallItems, 3));
}

TEST(InverseOfPositive, AMatrixThatIsNotPositiveIsRefusedWithItsLambda) {
  const at::Tensor matrix = at::diag(at::full({3}, 1.0, at::kDouble));
  matrix.mutable_data_ptr<double>()[8] = -1;
  EXPECT_THROW(inverse_of_positive(matrix), ModelError);
}

EaseTextOptions text_options(double lambda_x, double lambda_f, double lambda_e) {
  EaseTextOptions options;
  options.lambda_x = lambda_x, options.lambda_f = lambda_f, options.lambda_e = lambda_e;
  return options;
}

at::Tensor text_gram(const Corpus& corpus) {
  const TextVectors texts(corpus, {});
  at::Tensor out = at::zeros({kSmallItems, kSmallItems}, at::kDouble);
  for (int64_t item = 0; item < kSmallItems; ++item)
    texts.add_gram_row(item, {out.mutable_data_ptr<double>() + item * kSmallItems, kSmallItems});
  return out;
}

at::Tensor ease_of(const at::Tensor& gram, double ridge) {
  const at::Tensor P = at::linalg_inv(gram + ridge * at::eye(gram.size(0), at::kDouble));
  at::Tensor out = P / P.diagonal().neg();
  out.diagonal().zero_();
  return out;
}

TEST_F(EaseTest, TextWeightsAreTheLeastOfTheirObjective) {
  OneRank<EaseText> model(corpus(), text_options(2, 0.5, 4));
  const double loss = run_program(model.model).at(0).loss * kSmallUsers;
  const at::Tensor B = model.rows().to(at::kDouble), C = ease_of(text_gram(corpus()), 0.5);
  const auto objective_with_text = [&](const at::Tensor& weights) {
    return objective(weights, 2) + 4 * (weights - C).square().sum().item<double>();
  };
  EXPECT_EQ(B.diagonal().abs().max().item<double>(), 0);
  EXPECT_NEAR(loss, objective_with_text(B), 1e-4);
  // The gradient is zero but for the diagonal: X'(XB - X) + 2 B + 4 (B - C).
  const at::Tensor X = training_matrix(corpus());
  at::Tensor gradient = X.t().mm(X.mm(B) - X) + 2 * B + 4 * (B - C);
  gradient.diagonal().zero_();
  EXPECT_LT(gradient.abs().max().item<double>(), 1e-5);
}

TEST_F(EaseTest, TextWeightsWithoutPullAreThoseOfEaseAndWithMuchPullThoseOfTheTexts) {
  OneRank<EaseText> weak(corpus(), text_options(3, 0.5, 1e-6)), strong(corpus(), text_options(3, 0.5, 1e9));
  OneRank<Ease> ease(corpus(), with_lambda(3));
  run_program(weak.model), run_program(strong.model), run_program(ease.model);
  EXPECT_LT((weak.rows() - ease.rows()).abs().max().item<double>(), 1e-5);
  EXPECT_LT((strong.rows() - ease_of(text_gram(corpus()), 0.5)).abs().max().item<double>(), 1e-5);
}

TEST_F(EaseTest, TextsOfUsersAndOfPairsAreNoTextsOfItems) {
  const at::Tensor gram = text_gram(corpus());
  for (int64_t item = 0; item < kSmallItems; ++item) EXPECT_NEAR(gram[item][item].item<double>(), 1, 1e-12);
  // Items whose input places differ by 9 have the same text (small_corpus.h), whatever was written about pairs.
  for (int64_t a = 0; a < kSmallItems; ++a) {
    for (int64_t b = 0; b < kSmallItems; ++b) {
      if (corpus().item_input_order(a) % 9 != corpus().item_input_order(b) % 9) continue;
      EXPECT_NEAR(gram[a][b].item<double>(), 1, 1e-12) << a << " " << b;
    }
  }
}

}  // namespace
}  // namespace cllm::ease_tests
