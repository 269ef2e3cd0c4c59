#include "model/losses/soft_softmax.h"

#include <gtest/gtest.h>

#include <ATen/TensorOperators.h>
#include <ATen/ops/log_softmax.h>
#include <ATen/ops/mm.h>
#include <ATen/ops/softmax.h>
#include <ATen/ops/where.h>
#include <ATen/ops/zeros.h>

#include <numeric>
#include <optional>

#include "data/random.h"
#include "tests/model/losses/soft_batch.h"
#include "tests/model/tensors.h"
#include "tests/support/recording_communicator.h"
#include "tests/support/thread_world.h"

namespace cllm {
namespace {

using testing::gap;
using testing::KnownLabels;
using testing::normal;
using testing::SoftBatch;
using testing::SoftSequence;

/// Sequences of distinct items, of which positions see 0, 1, … and predict the rest, or one or two listed items.
std::vector<SoftSequence> some_sequences(int64_t B, int64_t J, uint64_t key) {
  CounterRng random(key);
  std::vector<SoftSequence> out;
  for (int64_t b = 0; b < B; ++b) {
    std::vector<int64_t> all(static_cast<size_t>(J));
    std::iota(all.begin(), all.end(), 0);
    random.shuffle(std::span(all));
    const auto length = std::min<size_t>(2 + static_cast<size_t>(b) % 5, all.size());
    SoftSequence sequence{.items = {all.begin(), all.begin() + static_cast<std::ptrdiff_t>(length)}};
    for (size_t k = b % 3 == 2 ? 1 : 0; k < length; ++k) {
      const bool set = (static_cast<size_t>(b) + k) % 3 != 0;
      sequence.shown.push_back(static_cast<int64_t>(k));
      sequence.rest.push_back(set ? 0.1 + random.uniform() : 0);
      sequence.targets.emplace_back();
      for (size_t n = k; !set && n < std::min(k + 2, length); ++n)
        sequence.targets.back().emplace_back(sequence.items[n], 0.1 + random.uniform());
    }
    out.push_back(std::move(sequence));
  }
  return out;
}

/// The formulas with whole matrices.
HeadResult dense(const at::Tensor& hidden_AD, const at::Tensor& head_JD, const SoftBatch& batch,
                 const SoftObjective& objective, const at::Tensor& labels_AJ) {
  const int64_t A = hidden_AD.size(0), J = head_JD.size(0);
  at::Tensor mask = at::zeros({A, J}, at::kBool), wanted = at::zeros({A, J}, at::kDouble);
  for (int64_t a = 0; a < A; ++a) {
    const auto n = static_cast<size_t>(a), b = static_cast<size_t>(batch.lists.sequence[n]);
    const int64_t first = batch.lists.offsets[b], last = batch.lists.offsets[b + 1];
    for (int64_t m = first; m < last; ++m) {
      const int64_t item = batch.lists.items[static_cast<size_t>(m)];
      if (m < first + batch.lists.shown[n]) {
        mask[a][item].fill_(true);
      } else {
        wanted[a][item] += batch.lists.rest_weight[n] / static_cast<double>(last - first - batch.lists.shown[n]);
      }
    }
    for (int64_t k = batch.target_offsets[n]; k < batch.target_offsets[n + 1]; ++k)
      wanted[a][batch.ids[static_cast<size_t>(k)]] += batch.weights[static_cast<size_t>(k)];
  }
  const at::Tensor c_A1 = wanted.sum(1, true);
  at::Tensor y = wanted / c_A1;
  if (objective.labels != nullptr)
    y = (1 - objective.alpha) * y + objective.alpha * at::softmax(labels_AJ.masked_fill(mask, -INFINITY), 1);
  at::Tensor logits = at::mm(hidden_AD, head_JD.t());
  if (objective.mask_shown) logits = logits.masked_fill(mask, -INFINITY);
  const at::Tensor log_p = at::log_softmax(logits, 1), p = log_p.exp();
  at::Tensor loss_A1, gradient;
  if (objective.form == SoftForm::kCrossEntropy) {
    loss_A1 = -at::where(y > 0, y * log_p, 0).sum(1, true);
    gradient = c_A1 * (p - y);
  } else {
    const at::Tensor yp = y * p;
    loss_A1 = -yp.sum(1, true).log();
    gradient = c_A1 * (p - yp / yp.sum(1, true));
  }
  return {(c_A1 * loss_A1).sum().item<double>(), at::mm(gradient, head_JD), at::mm(gradient.t(), hidden_AD)};
}

struct SoftCase {
  int64_t B, J, D;
  SoftObjective objective;
  bool labels;
};

void expect_dense_formulas(const SoftCase& c, int world_size, std::optional<LogitBlocks> blocks = {}) {
  const std::vector<SoftSequence> sequences = some_sequences(c.B, c.J, 7);
  const SoftBatch whole(sequences);
  const at::Tensor hidden = normal({whole.num_positions(), c.D}, 1), items = normal({c.J, c.D}, 2);
  const at::Tensor labels = normal({whole.num_positions(), c.J}, 3) * 2;
  KnownLabels known(labels, 0);
  SoftObjective objective = c.objective;
  objective.labels = c.labels ? &known : nullptr;
  const HeadResult expected = dense(hidden, items, whole, objective, labels);
  std::vector<double> losses(static_cast<size_t>(world_size));
  testing::run_ranks(world_size, [&](Communicator& comm) {
    const RowPartition partition(c.J, world_size), users(c.B, world_size);
    const auto all = std::span(sequences);
    const auto before = static_cast<size_t>(users.begin(comm.rank())),
               count = static_cast<size_t>(users.size(comm.rank()));
    const SoftBatch mine(all.subspan(before, count)), earlier(all.subspan(0, before));
    const Range positions{earlier.num_positions(), mine.num_positions()};
    KnownLabels here(labels, partition.begin(comm.rank()));
    SoftObjective of_rank = objective;
    if (c.labels) of_rank.labels = &here;
    const Range rows{partition.begin(comm.rank()), partition.size(comm.rank())};
    const HeadResult result = soft_item_softmax(comm, partition, positions.of(hidden), rows.of(items), mine.targets(),
                                                to_tensors(mine.lists), of_rank, blocks);
    losses[static_cast<size_t>(comm.rank())] = result.loss;
    EXPECT_LE(gap(result.hidden_gradient, positions.of(expected.hidden_gradient)), 1e-12);
    EXPECT_LE(gap(result.weight_gradient, rows.of(expected.weight_gradient)), 1e-12);
  });
  EXPECT_NEAR(std::accumulate(losses.begin(), losses.end(), 0.0), expected.loss, 1e-12 * (1 + std::abs(expected.loss)));
}

/// Sets alone, with masks, with labels (and masks), and the log outside.
std::vector<SoftCase> soft_cases(int64_t B, int64_t J) {
  return {{B, J, 5, {}, false},
          {B, J, 5, {.mask_shown = true}, false},
          {B, J, 5, {.alpha = 0.6}, true},
          {B, J, 5, {.mask_shown = true, .alpha = 0.6}, true},
          {B, J, 5, {.mask_shown = true, .alpha = 1}, true},
          {B, J, 5, {.mask_shown = true, .form = SoftForm::kLogOutside}, false},
          {B, J, 5, {.mask_shown = true, .alpha = 0.3, .form = SoftForm::kLogOutside}, true}};
}

TEST(SoftItemSoftmax, FollowsTheFormulasOnAnyNumberOfRanks) {
  for (const int world_size : {1, 2, 3, 4}) {
    for (const SoftCase& c : soft_cases(9, 23)) {
      SCOPED_TRACE(::testing::Message() << world_size << " ranks, alpha " << c.objective.alpha << ", mask "
                                        << c.objective.mask_shown);
      expect_dense_formulas(c, world_size);
    }
  }
}

TEST(SoftItemSoftmax, ARankWithoutItemsOrSequencesOrWithMaskedItemsAloneAddsNothing) {
  for (const SoftCase& c : soft_cases(2, 3)) expect_dense_formulas(c, 4);
}

TEST(SoftItemSoftmax, RangesOfTheItemsAndBlocksOfPositionsGiveTheSame) {
  for (const int world_size : {1, 2}) {
    for (const SoftCase& c : soft_cases(40, 101)) {
      for (const int64_t rows : {8, 48, 200}) {
        const LogitBlocks blocks{.bytes = 16 * rows * 8, .least_positions = 16, .whole_row_bytes = 0, .kept_bytes = 0};
        expect_dense_formulas(c, world_size, blocks);
      }
      expect_dense_formulas(  // whole rows, several blocks, kept and not
          c, world_size, LogitBlocks{.bytes = 1, .least_positions = 16, .whole_row_bytes = 1 << 20, .kept_bytes = 0});
      expect_dense_formulas(
          c, world_size,
          LogitBlocks{.bytes = 1, .least_positions = 16, .whole_row_bytes = 1 << 20, .kept_bytes = 1 << 20});
    }
  }
}

TEST(SoftItemSoftmax, GradientsAreFiniteDifferencesOfTheLoss) {
  const std::vector<SoftSequence> sequences = some_sequences(6, 17, 7);
  const SoftBatch batch(sequences);
  const at::Tensor hidden = normal({batch.num_positions(), 4}, 1), items = normal({17, 4}, 2);
  KnownLabels labels(normal({batch.num_positions(), 17}, 3), 0);
  testing::run_ranks(1, [&](Communicator& comm) {
    for (const SoftForm form : {SoftForm::kCrossEntropy, SoftForm::kLogOutside}) {
      const SoftObjective objective{.mask_shown = true, .alpha = 0.4, .labels = &labels, .form = form};
      const auto run = [&](const at::Tensor& h, const at::Tensor& w) {
        return soft_item_softmax(comm, RowPartition(17, 1), h, w, batch.targets(), to_tensors(batch.lists), objective);
      };
      const HeadResult at_point = run(hidden, items);
      const at::Tensor along_h = normal(hidden.sizes(), 5), along_w = normal(items.sizes(), 6);
      constexpr double kStep = 1e-5;
      const double slope = (run(hidden + kStep * along_h, items + kStep * along_w).loss -
                            run(hidden - kStep * along_h, items - kStep * along_w).loss) /
                           (2 * kStep);
      const double expected =
          ((at_point.hidden_gradient * along_h).sum() + (at_point.weight_gradient * along_w).sum()).item<double>();
      EXPECT_NEAR(slope, expected, 1e-8 * (1 + std::abs(expected)));
    }
  });
}

TEST(SoftItemSoftmax, NextItemsWithoutMasksAreTheOrdinarySoftmax) {
  std::vector<SoftSequence> sequences = some_sequences(8, 20, 4);
  for (SoftSequence& sequence : sequences) {
    for (size_t n = 0; n < sequence.shown.size(); ++n) {
      sequence.rest[n] = 0;
      sequence.targets[n] = {{sequence.items[static_cast<size_t>(sequence.shown[n])], 0.5}};
    }
  }
  const SoftBatch batch(sequences);
  const at::Tensor hidden = normal({batch.num_positions(), 4}, 1), items = normal({20, 4}, 2);
  testing::run_ranks(1, [&](Communicator& comm) {
    const HeadResult soft =
        soft_item_softmax(comm, RowPartition(20, 1), hidden, items, batch.targets(), to_tensors(batch.lists), {});
    const HeadResult plain =
        item_softmax(comm, RowPartition(20, 1), ItemSoftmax::kSharded, hidden, items, batch.targets());
    EXPECT_NEAR(soft.loss, plain.loss, 1e-12);
    EXPECT_LE(gap(soft.hidden_gradient, plain.hidden_gradient), 1e-13);
    EXPECT_LE(gap(soft.weight_gradient, plain.weight_gradient), 1e-13);
  });
}

TEST(SoftItemSoftmax, SinglePrecisionAndBf16StayCloseToDoublePrecision) {
  const std::vector<SoftSequence> sequences = some_sequences(20, 150, 7);
  const SoftBatch batch(sequences);
  const at::Tensor hidden = normal({batch.num_positions(), 16}, 1).to(at::kBFloat16),
                   items = (normal({150, 16}, 2) * 0.3).to(at::kBFloat16);
  const at::Tensor labels = normal({batch.num_positions(), 150}, 3);
  for (const SoftForm form : {SoftForm::kCrossEntropy, SoftForm::kLogOutside}) {
    KnownLabels exact_labels(labels, 0), single_labels(labels.to(at::kFloat), 0);
    SoftObjective objective{.mask_shown = true, .alpha = 0.4, .labels = &exact_labels, .form = form};
    const HeadResult exact = dense(hidden.to(at::kDouble), items.to(at::kDouble), batch, objective, labels);
    objective.labels = &single_labels;
    for (const auto& [dtype, tolerance] : {std::pair{at::kFloat, 1e-5}, {at::kBFloat16, 2e-2}}) {
      testing::run_ranks(1, [&, dtype = dtype, tolerance = tolerance](Communicator& comm) {
        const HeadResult got = soft_item_softmax(comm, RowPartition(150, 1), hidden.to(dtype), items.to(at::kFloat),
                                                 batch.targets(), to_tensors(batch.lists), objective);
        EXPECT_NEAR(got.loss, exact.loss, tolerance * exact.loss) << dtype;
        const double scale = exact.hidden_gradient.abs().max().item<double>();
        EXPECT_LE(gap(got.hidden_gradient, exact.hidden_gradient), tolerance * scale) << dtype;
        EXPECT_LE(gap(got.weight_gradient, exact.weight_gradient),
                  tolerance * exact.weight_gradient.abs().max().item<double>())
            << dtype;
      });
    }
  }
}

TEST(SoftItemSoftmax, ShardsAreMergedByOnePackedAllReduce) {
  testing::run_ranks(3, [](Communicator& comm) {
    std::vector<std::string> log;
    testing::RecordingCommunicator recording(comm, "softmax", log);
    const RowPartition partition(50, 3);
    const SoftBatch batch(some_sequences(4, 50, 5));
    soft_item_softmax(recording, partition, normal({batch.num_positions(), 8}, 1),
                      normal({partition.size(comm.rank()), 8}, 99), batch.targets(), to_tensors(batch.lists),
                      {.mask_shown = true});
    EXPECT_EQ(std::ranges::count(log, "softmax all_reduce"), 1);
    EXPECT_EQ(std::ranges::count(log, "softmax all_gather"), 7);  // as the ordinary one, and the histories
    EXPECT_EQ(log.size(), 9u);
  });
}

}  // namespace
}  // namespace cllm
