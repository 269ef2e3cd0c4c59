#include "model/losses/loss_term.h"

#include <gtest/gtest.h>

#include <ATen/TensorOperators.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/zeros.h>

#include <algorithm>
#include <memory>
#include <vector>

#include "model/losses/mutual_regularisation.h"
#include "model/losses/predictions.h"
#include "model/losses/sampled_softmax.h"
#include "tests/model/tensors.h"
#include "tests/support/thread_world.h"

namespace cllm {
namespace {

namespace terms {

using testing::gap;
using testing::normal;

constexpr int64_t kUsers = 2, kItems = 5, kWidth = 3;

Table table_of(const Communicator& comm, uint64_t key) {
  return make_table(RowLayout(kUsers, kItems, comm.rank(), comm.world_size()), normal({kUsers, kWidth}, key),
                    normal({kItems, kWidth}, key + 1));
}

/// Two positions, three targets.
Targets targets() {
  return {at::tensor({0, 1, 3}, at::kLong), at::tensor({4, 0, 2}, at::kLong),
          at::tensor({0.5, 0.25, 1.0}, at::kDouble)};
}

TEST(LossTerm, ASampledPredictionAsksForNegativesThenTargetsAndWithEveryItemOnceIsTheExactOne) {
  testing::run_ranks(1, [](Communicator& comm) {
    const Table table = table_of(comm, 3);
    uint64_t key = 0;  // of a draw that has every item once
    for (;; ++key) {
      std::vector<int32_t> drawn = draw_negatives(kItems, kItems, key);
      std::sort(drawn.begin(), drawn.end());
      if (std::adjacent_find(drawn.begin(), drawn.end()) == drawn.end()) break;
    }
    SampledPrediction sampled(kItems, kUsers, {4, 0, 2}, kItems, key);
    const std::vector<int32_t> rows = sampled.rows();
    ASSERT_EQ(rows.size(), 8U);
    EXPECT_EQ(rows[5], kUsers + 4);
    EXPECT_EQ(rows[7], kUsers + 2);
    EXPECT_FALSE(sampled.reads_items());

    const at::Tensor hidden_AD = normal({2, kWidth}, 9);
    const std::vector<int64_t> asked(rows.begin(), rows.end());
    const at::Tensor asked_KD = table.weight.index_select(0, at::tensor(asked, at::kLong));
    const HiddenResult estimate = sampled.value_and_gradients({hidden_AD, targets(), asked_KD});
    ItemPrediction exact(comm, table.layout.items(), ItemSoftmax::kSharded);
    EXPECT_TRUE(exact.reads_items());
    EXPECT_TRUE(exact.rows().empty());
    const HiddenResult truth = exact.value_and_gradients({hidden_AD, targets(), asked_KD, table.items()});
    EXPECT_NEAR(estimate.loss, truth.loss, 1e-12);
    EXPECT_LT(gap(estimate.hidden_gradient_AD, truth.hidden_gradient_AD), 1e-12);
    const at::Tensor of_rows = at::zeros({kUsers + kItems, kWidth}, at::kDouble)
                                   .index_add_(0, at::tensor(asked, at::kLong), estimate.asked_gradient_KD);
    EXPECT_LT(gap(of_rows.narrow(0, kUsers, kItems), truth.item_gradient_JD), 1e-12);
    EXPECT_EQ(exact.name(), "lm");
    EXPECT_EQ(sampled.name(), "lm");
  });
}

TEST(LossTerm, ATextPredictionHasAGradientOfTheWordsOnlyIfTheyAreTrained) {
  const at::Tensor words_ND = normal({6, kWidth}, 4), hidden_AD = normal({2, kWidth}, 5);
  const HiddenResult frozen = TextPrediction(words_ND, false).value_and_gradients({hidden_AD, targets(), {}}),
                     trained = TextPrediction(words_ND, true).value_and_gradients({hidden_AD, targets(), {}});
  EXPECT_EQ(frozen.loss, trained.loss);
  EXPECT_FALSE(frozen.word_gradient_ND.defined());
  EXPECT_EQ(trained.word_gradient_ND.sizes(), words_ND.sizes());
}

TEST(LossTerm, TermsOfAStepAddUpByTheirWeights) {
  testing::run_ranks(1, [](Communicator& comm) {
    const Table table = table_of(comm, 3);
    const at::Tensor hidden_AD = normal({2, kWidth}, 9), words_ND = normal({6, kWidth}, 4);
    SampledPrediction sampled(kItems, kUsers, {4, 0, 2}, 3, 7);
    const std::vector<int32_t> rows = sampled.rows();
    const std::vector<int64_t> asked(rows.begin(), rows.end());
    const at::Tensor asked_KD = table.weight.index_select(0, at::tensor(asked, at::kLong));
    HiddenTerms terms;
    terms.add(1, std::make_unique<TextPrediction>(words_ND, false));
    terms.add(0.5, std::make_unique<SampledPrediction>(kItems, kUsers, std::vector<int32_t>{4, 0, 2}, 3, 7));
    EXPECT_EQ(terms.rows(), rows);
    EXPECT_FALSE(terms.reads_items());
    const HiddenTerms::Result both = terms.value_and_gradients(hidden_AD, targets(), asked_KD);
    const HiddenResult text = TextPrediction(words_ND, false).value_and_gradients({hidden_AD, targets(), {}}),
                       items = sampled.value_and_gradients({hidden_AD, targets(), asked_KD});
    EXPECT_EQ(both.values, (std::vector<double>{text.loss, items.loss}));
    EXPECT_EQ(both.sum.loss, text.loss + 0.5 * items.loss);
    EXPECT_LT(gap(both.sum.hidden_gradient_AD, text.hidden_gradient_AD + 0.5 * items.hidden_gradient_AD), 1e-15);
    EXPECT_LT(gap(both.sum.asked_gradient_KD, 0.5 * items.asked_gradient_KD), 1e-15);
    EXPECT_FALSE(both.sum.item_gradient_JD.defined());
  });
}

TEST(LossTerm, MutualRegularisationIsItsFormulaAndItsPullIsItsGradient) {
  testing::run_ranks(2, [](Communicator& comm) {
    const Table own = table_of(comm, 3), fixed = table_of(comm, 13);
    MutualRegularisation mr{.once_per_group = false, .scale = 0.5, .covered = {}};
    if (comm.rank() == 0) mr.covered = {{1, 0, 2}, {kUsers + 4, 1, 1}};
    if (comm.rank() == 1) mr.covered = {{1, 0, 1}};  // 3 times in group 0
    MutualRegularisationTerm term(comm, mr, 2, own, fixed);
    const LocalRows& rows = term.find_rows();
    const OwnerResult result = term.value_and_pull(0.3);
    double want = 0;
    for (size_t n = 0; n < rows.rows.size(); ++n) {
      const int64_t row = rows.rows[n];
      const double factor = 0.25 * (own.layout.global(row) == 1 ? 3 : 1);
      want += factor * (own.weight[row] - fixed.weight[row]).square().sum().item<double>();
      EXPECT_NEAR(result.pull.factors_C[static_cast<int64_t>(n)].item<double>(), 2 * 0.3 * factor, 1e-15);
    }
    EXPECT_NEAR(result.value.item<double>(), want, 1e-12);
    at::Tensor count = at::tensor({static_cast<double>(rows.rows.size())}, at::kDouble);
    comm.all_reduce(count, ReduceOp::kSum);
    EXPECT_EQ(count.item<double>(), 2);
    EXPECT_FALSE(term.value_and_pull(0).pull.rows_C.defined());
  });
}

}  // namespace terms
}  // namespace
}  // namespace cllm
