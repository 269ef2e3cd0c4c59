#include "model/losses/item_logits.h"

#include <gtest/gtest.h>

#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/linalg_vector_norm.h>
#include <ATen/ops/log_softmax.h>
#include <ATen/ops/mm.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/zeros.h>

#include <memory>
#include <mutex>
#include <vector>

#include "dist/rows/row_layout.h"
#include "model/losses/predictions.h"
#include "model/losses/sampled_softmax.h"
#include "tests/model/losses/soft_batch.h"
#include "tests/model/tensors.h"
#include "tests/support/thread_world.h"

namespace cllm {
namespace {

namespace item_logits {

using testing::gap;
using testing::normal;

constexpr int64_t kUsers = 3, kItems = 7, kWidth = 5, kPositions = 6;

ItemLogits logits_of(HeadKind kind) {
  return {.kind = kind,
          .temperature = 0.3,
          .mean_D = normal({kWidth}, 21),
          .deviation_D = normal({kWidth}, 22).abs() + 0.5};
}

/// The formula, with whole matrices and a graph.
at::Tensor slow_logits(const ItemLogits& how, const at::Tensor& h, const at::Tensor& w) {
  const auto unit = [](const at::Tensor& x) { return x / at::linalg_vector_norm(x, 2, at::IntArrayRef{1}, true); };
  if (how.kind == HeadKind::kCosine) return at::mm(unit(h), unit(w).t()) / how.temperature;
  if (how.kind == HeadKind::kStandardised) return at::mm((h - how.mean_D) / how.deviation_D, w.t());
  return at::mm(h, w.t());
}

struct Gradients {
  double loss = 0;
  at::Tensor hidden_AD, items_JD;
};

/// One target per position, position a's is a, of weight 1 + a.
Gradients slow(const ItemLogits& how, const at::Tensor& hidden_AD, const at::Tensor& items_JD) {
  const at::AutoGradMode with_graph(true);
  const at::Tensor h = hidden_AD.clone().requires_grad_(true), w = items_JD.clone().requires_grad_(true);
  const at::Tensor log_p = at::log_softmax(slow_logits(how, h, w), 1);
  at::Tensor loss = at::zeros({}, at::kDouble);
  for (int64_t a = 0; a < kPositions; ++a) loss = loss - log_p[a][a] * static_cast<double>(1 + a);
  loss.backward();
  return {loss.item<double>(), h.grad(), w.grad()};
}

/// The positions of a rank: a, a + R, …
struct Mine {
  std::vector<int64_t> positions, offsets{0};
  std::vector<double> weights;
  Mine(int rank, int world_size) {
    for (int64_t a = rank; a < kPositions; a += world_size) {
      positions.push_back(a);
      weights.push_back(static_cast<double>(1 + a));
      offsets.push_back(std::ssize(positions));
    }
  }
  at::Tensor of(const at::Tensor& all_AD) const { return all_AD.index_select(0, at::tensor(positions, at::kLong)); }
  Targets targets() const {
    return {at::tensor(offsets, at::kLong), at::tensor(positions, at::kLong), at::tensor(weights, at::kDouble)};
  }
};

/// "Soft" with listed targets alone is the softmax.
std::unique_ptr<HiddenTerm> prediction(Communicator& comm, const RowPartition& items, int form, const Mine& mine) {
  if (form < 2)
    return std::make_unique<ItemPrediction>(comm, items, form == 0 ? ItemSoftmax::kSharded : ItemSoftmax::kGathered);
  std::vector<testing::SoftSequence> sequences;
  for (size_t n = 0; n < mine.positions.size(); ++n)
    sequences.push_back(
        {.items = {mine.positions[n]}, .shown = {0}, .rest = {0}, .targets = {{{mine.positions[n], mine.weights[n]}}}});
  return std::make_unique<SoftItemPrediction>(comm, items, SoftObjective{}, testing::SoftBatch(sequences).lists);
}

TEST(ItemLogits, EveryHeadHasTheLossAndGradientsOfItsFormulaInEveryFormAtAnyNumberOfRanks) {
  const at::Tensor hidden_AD = normal({kPositions, kWidth}, 1), items_JD = normal({kItems, kWidth}, 2);
  for (const HeadKind kind : {HeadKind::kDot, HeadKind::kStandardised, HeadKind::kCosine}) {
    const ItemLogits how = logits_of(kind);
    const Gradients want = slow(how, hidden_AD, items_JD);
    for (const int world_size : {1, 2, 3, 4}) {
      for (int form = 0; form < 3; ++form) {
        double loss = 0;
        std::mutex mutex;
        testing::run_ranks(world_size, [&](Communicator& comm) {
          const RowLayout layout(kUsers, kItems, comm.rank(), world_size);
          const RowPartition items = layout.items();
          const Mine mine(comm.rank(), world_size);
          MappedPrediction term(prediction(comm, items, form, mine), how);
          EXPECT_TRUE(term.reads_items());
          const int64_t first = items.begin(comm.rank()), count = items.end(comm.rank()) - first;
          const HiddenResult result =
              term.value_and_gradients({mine.of(hidden_AD), mine.targets(), at::zeros({0, kWidth}, at::kDouble),
                                        items_JD.narrow(0, first, count)});
          EXPECT_LT(gap(result.hidden_gradient_AD, mine.of(want.hidden_AD)), 1e-11);
          EXPECT_LT(gap(result.item_gradient_JD, want.items_JD.narrow(0, first, count)), 1e-11);
          const std::lock_guard lock(mutex);
          loss += result.loss;
        });
        EXPECT_NEAR(loss, want.loss, 1e-11) << world_size << " ranks, form " << form;
      }
    }
  }
}

TEST(ItemLogits, ASampledHeadWithEveryItemOnceIsTheExactOne) {
  const at::Tensor hidden_AD = normal({kPositions, kWidth}, 1), items_JD = normal({kItems, kWidth}, 2);
  uint64_t key = 0;  // of a draw that has every item once
  for (;; ++key) {
    std::vector<int32_t> drawn = draw_negatives(kItems, kItems, key);
    std::sort(drawn.begin(), drawn.end());
    if (std::adjacent_find(drawn.begin(), drawn.end()) == drawn.end()) break;
  }
  const Mine mine(0, 1);
  for (const HeadKind kind : {HeadKind::kStandardised, HeadKind::kCosine}) {
    const ItemLogits how = logits_of(kind);
    const Gradients want = slow(how, hidden_AD, items_JD);
    MappedPrediction term(
        std::make_unique<SampledPrediction>(kItems, 0, std::vector<int32_t>{0, 1, 2, 3, 4, 5}, kItems, key), how);
    std::vector<int64_t> rows;
    for (const int32_t row : term.rows()) rows.push_back(row);
    const at::Tensor rows_K = at::tensor(rows, at::kLong);
    const HiddenResult result = term.value_and_gradients({hidden_AD, mine.targets(), items_JD.index_select(0, rows_K)});
    EXPECT_NEAR(result.loss, want.loss, 1e-11);
    EXPECT_LT(gap(result.hidden_gradient_AD, want.hidden_AD), 1e-11);
    const at::Tensor of_items =
        at::zeros({kItems, kWidth}, at::kDouble).index_add_(0, rows_K, result.asked_gradient_KD);
    EXPECT_LT(gap(of_items, want.items_JD), 1e-11);
  }
}

TEST(ItemLogits, AVectorOfZeroHasNoDirectionAndNoGradient) {
  const ItemLogits how = logits_of(HeadKind::kCosine);
  const at::Tensor zero = at::zeros({2, kWidth}, at::kDouble), gradient = normal({2, kWidth}, 3);
  EXPECT_EQ(how.of_hidden(zero).abs().max().item<double>(), 0);
  EXPECT_EQ(how.hidden_gradient(zero, gradient).abs().max().item<double>(), 0);
  EXPECT_EQ(how.rows_gradient(zero, gradient).abs().max().item<double>(), 0);
}

}  // namespace item_logits
}  // namespace
}  // namespace cllm
