#include "model/losses/softmax_head.h"

#include <gtest/gtest.h>

#include <ATen/TensorOperators.h>
#include <ATen/ops/allclose.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/full.h>
#include <ATen/ops/log_softmax.h>
#include <ATen/ops/mm.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/zeros.h>
#include <ATen/ops/zeros_like.h>

#include <algorithm>
#include <optional>

#include "data/random.h"
#include "tests/model/tensors.h"
#include "tests/support/peak_memory.h"
#include "tests/support/recording_communicator.h"
#include "tests/support/thread_world.h"

namespace cllm {
namespace {

using testing::gap;
using testing::normal;

/// A positions with 0, 1 or 2 targets each.
Targets some_targets(int64_t A, int64_t num_rows, uint64_t key) {
  CounterRng random(key);
  std::vector<int64_t> offsets{0}, ids;
  std::vector<double> weights;
  for (int64_t a = 0; a < A; ++a) {
    for (int64_t k = 0; k < (a + 2) % 3; ++k) {
      ids.push_back(static_cast<int64_t>(random.below(static_cast<uint64_t>(num_rows))));
      weights.push_back(0.1 + random.uniform());
    }
    offsets.push_back(static_cast<int64_t>(ids.size()));
  }
  return {at::tensor(offsets, at::kLong), at::tensor(ids, at::kLong), at::tensor(weights, at::kDouble)};
}

/// The formulas with whole matrices: d loss / d logits = c softmax - sum_k weight_k onehot_k.
HeadResult plain(const at::Tensor& hidden_AD, const at::Tensor& head_VD, const Targets& t) {
  const at::Tensor log_p = at::log_softmax(at::mm(hidden_AD, head_VD.t()), 1);
  at::Tensor gradient = at::zeros_like(log_p);
  double loss = 0;
  for (int64_t a = 0; a < hidden_AD.size(0); ++a) {
    for (int64_t k = t.offsets_A1[a].item<int64_t>(); k < t.offsets_A1[a + 1].item<int64_t>(); ++k) {
      const double weight = t.weights_K[k].item<double>();
      loss -= weight * log_p[a][t.ids_K[k]].item<double>();
      gradient[a] += weight * log_p[a].exp();
      gradient[a][t.ids_K[k]] -= weight;
    }
  }
  return {loss, at::mm(gradient, head_VD), at::mm(gradient.t(), hidden_AD)};
}

struct Case {
  int64_t A, V, D;
};

/// Positions of rank r: [A r(r+1)/2 / total ...): uneven, rank 0 has none.
int64_t first_position(int rank, int world_size, int64_t A) {
  return world_size == 1 ? (rank == 0 ? 0 : A) : A * rank * (rank - 1) / (world_size * (world_size - 1));
}

void expect_plain_formulas(const Case& c, int world_size, ItemSoftmax form, double tolerance,
                           std::optional<LogitBlocks> blocks = {}) {
  const at::Tensor hidden = normal({c.A, c.D}, 1), items = normal({c.V, c.D}, 2);
  const Targets targets = some_targets(c.A, c.V, 3);
  const HeadResult expected = plain(hidden, items, targets);
  std::vector<double> losses(static_cast<size_t>(world_size));
  testing::run_ranks(world_size, [&](Communicator& comm) {
    const RowPartition partition(c.V, world_size);
    const int64_t begin = first_position(comm.rank(), world_size, c.A),
                  end = first_position(comm.rank() + 1, world_size, c.A);
    const int64_t first_target = targets.offsets_A1[begin].item<int64_t>(),
                  last_target = targets.offsets_A1[end].item<int64_t>();
    const Targets mine{targets.offsets_A1.narrow(0, begin, end - begin + 1) - first_target,
                       targets.ids_K.narrow(0, first_target, last_target - first_target),
                       targets.weights_K.narrow(0, first_target, last_target - first_target)};
    const at::Tensor rows = items.narrow(0, partition.begin(comm.rank()), partition.size(comm.rank()));
    const HeadResult result =
        item_softmax(comm, partition, form, hidden.narrow(0, begin, end - begin), rows, mine, blocks);
    losses[static_cast<size_t>(comm.rank())] = result.loss;
    EXPECT_LE(gap(result.hidden_gradient, expected.hidden_gradient.narrow(0, begin, end - begin)), tolerance);
    EXPECT_LE(gap(result.weight_gradient,
                  expected.weight_gradient.narrow(0, partition.begin(comm.rank()), partition.size(comm.rank()))),
              tolerance);
  });
  double loss = 0;
  for (const double part : losses) loss += part;
  EXPECT_NEAR(loss, expected.loss, tolerance * (1 + expected.loss));
}

TEST(ItemSoftmax, FollowsTheFormulasInBothFormsOnAnyNumberOfRanks) {
  for (const int world_size : {1, 2, 3, 4}) {
    for (const ItemSoftmax form : {ItemSoftmax::kSharded, ItemSoftmax::kGathered}) {
      SCOPED_TRACE(::testing::Message() << world_size << " ranks, form " << static_cast<int>(form));
      expect_plain_formulas({7, 10, 5}, world_size, form, 1e-13);
      expect_plain_formulas({3, 2, 5}, world_size, form, 1e-13);  // ranks without items
      expect_plain_formulas({1, 40, 3}, world_size, form, 1e-13);
    }
  }
}

TEST(ItemSoftmax, SeveralBlocksOfPositionsGiveTheSame) {
  expect_plain_formulas({1900, 600, 4}, 1, ItemSoftmax::kGathered, 1e-11);
  expect_plain_formulas({1900, 600, 4}, 2, ItemSoftmax::kSharded, 1e-11);
}

TEST(ItemSoftmax, ComputingProbabilitiesAgainInTheSecondPassGivesTheSame) {
  expect_plain_formulas({2100, 8200, 3}, 2, ItemSoftmax::kSharded,
                        1e-11);  // 2100 x 4100 x 8 bytes on each rank: more than is kept
}

/// Blocks of 16 positions x about `rows` rows of elements of `element_bytes`, nothing kept.
LogitBlocks small_blocks(int64_t rows, int64_t element_bytes) {
  return {.bytes = 16 * rows * element_bytes, .least_positions = 16, .whole_row_bytes = 0, .kept_bytes = 0};
}

TEST(ItemSoftmax, RangesOfTheItemsGiveTheSame) {
  for (const int64_t rows : {8, 104, 304, 700}) {  // many ranges, an odd end, two, and all rows at once
    for (const int world_size : {1, 2, 3}) {
      for (const ItemSoftmax form : {ItemSoftmax::kSharded, ItemSoftmax::kGathered}) {
        SCOPED_TRACE(::testing::Message()
                     << rows << " rows, " << world_size << " ranks, form " << static_cast<int>(form));
        expect_plain_formulas({70, 601, 5}, world_size, form, 1e-11, small_blocks(rows, 8));
        expect_plain_formulas({5, 601, 3}, world_size, form, 1e-11,
                              small_blocks(rows, 8));  // fewer positions than a block's
      }
    }
    expect_plain_formulas({9, 2, 3}, 3, ItemSoftmax::kSharded, 1e-13, small_blocks(rows, 8));  // a rank without items
  }
}

TEST(ItemSoftmax, NoPositionsAnywhereGivesZeroGradients) {
  for (const ItemSoftmax form : {ItemSoftmax::kSharded, ItemSoftmax::kGathered}) {
    testing::run_ranks(2, [&](Communicator& comm) {
      const RowPartition partition(5, 2);
      const HeadResult result =
          item_softmax(comm, partition, form, at::zeros({0, 3}, at::kFloat),
                       at::ones({partition.size(comm.rank()), 3}, at::kFloat), some_targets(0, 5, 1));
      EXPECT_EQ(result.loss, 0);
      EXPECT_EQ(result.weight_gradient.abs().sum().item<double>(), 0);
    });
  }
}

TEST(ItemSoftmax, ShardsAreMergedByOnePackedAllReduce) {
  testing::run_ranks(3, [](Communicator& comm) {
    std::vector<std::string> log;
    testing::RecordingCommunicator recording(comm, "softmax", log);
    const RowPartition partition(50, 3);
    item_softmax(recording, partition, ItemSoftmax::kSharded, normal({20, 8}, 1),
                 normal({partition.size(comm.rank()), 8}, 99), some_targets(20, 50, 4));
    EXPECT_EQ(std::ranges::count(log, "softmax all_reduce"), 1);
    EXPECT_EQ(std::ranges::count(log, "softmax all_gather"), 3);  // numbers, hidden states, targets
    EXPECT_EQ(std::ranges::count(log, "softmax reduce_scatter"), 1);
    EXPECT_EQ(log.size(), 5u);
  });
}

TEST(ItemSoftmax, AShardWhoseLogitsAreFarBelowTheOthersAddsNothing) {
  testing::run_ranks(2, [](Communicator& comm) {  // logits 2000 and -2000: e^-4000 is 0, and e^2000 is no number
    const at::Tensor hidden = at::full({1, 2}, 1e3, at::kFloat),
                     items = at::full({1, 2}, comm.rank() == 0 ? 1.0 : -1.0, at::kFloat);
    const bool mine = comm.rank() == 0;
    const Targets target{at::tensor(mine ? std::vector<int64_t>{0, 1} : std::vector<int64_t>{0}, at::kLong),
                         mine ? at::ones({1}, at::kLong) : at::empty({0}, at::kLong),
                         at::ones({mine ? 1 : 0}, at::kDouble)};
    const HeadResult result =
        item_softmax(comm, RowPartition(2, 2), ItemSoftmax::kSharded, hidden.narrow(0, 0, mine ? 1 : 0), items, target);
    EXPECT_NEAR(result.loss, mine ? 4000 : 0, 1e-2);
    EXPECT_TRUE(at::allclose(result.weight_gradient, at::full({1, 2}, mine ? 1e3 : -1e3, at::kFloat)));
    EXPECT_TRUE(at::allclose(result.hidden_gradient, at::full({mine ? 1 : 0, 2}, 2.0, at::kFloat)));
  });
}

TEST(ItemSoftmax, TheSameCallTwiceIsBitwiseEqual) {
  testing::run_ranks(3, [](Communicator& comm) {
    const RowPartition partition(50, 3);
    const at::Tensor hidden = normal({20, 8}, static_cast<uint64_t>(comm.rank())).to(at::kFloat);
    const at::Tensor rows = normal({partition.size(comm.rank()), 8}, 99).to(at::kFloat);
    const auto run = [&] {
      return item_softmax(comm, partition, ItemSoftmax::kSharded, hidden, rows, some_targets(20, 50, 4));
    };
    const HeadResult first = run(), second = run();
    EXPECT_EQ(first.loss, second.loss);
    EXPECT_TRUE(at::equal(first.hidden_gradient, second.hidden_gradient) &&
                at::equal(first.weight_gradient, second.weight_gradient));
  });
}

TEST(TextSoftmax, FollowsTheFormulas) {
  const at::Tensor hidden = normal({33, 6}, 1), words = normal({70, 6}, 2);
  const Targets targets = some_targets(33, 70, 5);
  const HeadResult expected = plain(hidden, words, targets);
  const HeadResult frozen = text_softmax(hidden, words, targets);
  EXPECT_NEAR(frozen.loss, expected.loss, 1e-12);
  EXPECT_LE(gap(frozen.hidden_gradient, expected.hidden_gradient), 1e-13);
  EXPECT_FALSE(frozen.weight_gradient.defined());
  EXPECT_LE(gap(text_softmax(hidden, words, targets, true).weight_gradient, expected.weight_gradient), 1e-13);
}

TEST(TextSoftmax, SinglePrecisionAndBf16StayCloseToDoublePrecision) {
  const at::Tensor hidden = normal({64, 32}, 1).to(at::kBFloat16),
                   words = (normal({700, 32}, 2) * 0.3).to(at::kBFloat16);
  const Targets targets = some_targets(64, 700, 5);
  const HeadResult expected = plain(hidden.to(at::kDouble), words.to(at::kDouble), targets);
  const double scale = expected.hidden_gradient.abs().max().item<double>();
  const HeadResult single = text_softmax(hidden.to(at::kFloat), words.to(at::kFloat), targets);
  EXPECT_NEAR(single.loss, expected.loss, 1e-6 * expected.loss);
  EXPECT_LE(gap(single.hidden_gradient, expected.hidden_gradient), 2e-6 * scale);
  const HeadResult half = text_softmax(hidden, words, targets);
  EXPECT_EQ(half.hidden_gradient.scalar_type(), at::kBFloat16);
  EXPECT_NEAR(half.loss, expected.loss, 2e-3 * expected.loss);
  EXPECT_LE(gap(half.hidden_gradient, expected.hidden_gradient), 1e-2 * scale);
}

TEST(TextSoftmax, RangesOfTheWordsGiveTheSameInEveryPrecision) {
  const at::Tensor hidden = normal({40, 32}, 1).to(at::kBFloat16),
                   words = (normal({701, 32}, 2) * 0.3).to(at::kBFloat16);
  const Targets targets = some_targets(40, 701, 5);
  const HeadResult exact = plain(hidden.to(at::kDouble), words.to(at::kDouble), targets);
  for (const auto& [dtype, tolerance] : {std::pair{at::kDouble, 1e-13}, {at::kFloat, 3e-6}, {at::kBFloat16, 1e-2}}) {
    for (const int64_t rows : {8, 96, 360}) {
      const auto blocks = small_blocks(rows, static_cast<int64_t>(at::elementSize(dtype)));
      const HeadResult got = text_softmax(hidden.to(dtype), words.to(dtype), targets, true, blocks);
      const auto scale = [](const at::Tensor& tensor) { return tensor.abs().max().item<double>(); };
      EXPECT_NEAR(got.loss, exact.loss, tolerance * exact.loss) << dtype;
      EXPECT_LE(gap(got.hidden_gradient, exact.hidden_gradient), tolerance * scale(exact.hidden_gradient)) << dtype;
      EXPECT_LE(gap(got.weight_gradient, exact.weight_gradient), tolerance * scale(exact.weight_gradient)) << dtype;
      const HeadResult frozen = text_softmax(hidden.to(dtype), words.to(dtype), targets, false, blocks);
      EXPECT_TRUE(at::equal(frozen.hidden_gradient, got.hidden_gradient));
      EXPECT_FALSE(frozen.weight_gradient.defined());
    }
  }
}

TEST(TextSoftmax, RangesWhoseLogitsAreFarApartDoNotOverflow) {  // the largest in the first, a middle or the last range
  for (const int64_t top : {3, 12, 20}) {
    at::Tensor words = at::full({21, 2}, -1, at::kFloat);
    words[top].fill_(1);
    const Targets target{at::tensor({0, 1}, at::kLong), at::zeros({1}, at::kLong), at::ones({1}, at::kDouble)};
    const HeadResult result = text_softmax(at::full({1, 2}, 1e3, at::kFloat), words, target, true, small_blocks(8, 4));
    EXPECT_NEAR(result.loss, 4000, 1e-2);
    EXPECT_TRUE(at::allclose(result.hidden_gradient, at::full({1, 2}, 2.0, at::kFloat)));
    EXPECT_TRUE(at::allclose(result.weight_gradient[top], at::full({2}, 1e3, at::kFloat)));
  }
}

// A head so large that 64 positions of its logits take 77 MB, in fp32; positions and rows of 8 numbers.
constexpr Case kLargeHead{70, 300'000, 8};
constexpr int64_t kPositionBytes = kLargeHead.A * kLargeHead.D * 4, kHeadBytes = kLargeHead.V * kLargeHead.D * 4;

TEST(TextSoftmax, MemoryIsThatOfTheRowsAndOneBlock) {
  const at::Tensor hidden = normal({kLargeHead.A, kLargeHead.D}, 1).to(at::kFloat);
  const at::Tensor words = normal({kLargeHead.V, kLargeHead.D}, 2).to(at::kFloat);
  const Targets targets = some_targets(kLargeHead.A, kLargeHead.V, 5);
  const int64_t block = logit_blocks(hidden).bytes;
  for (const bool trained : {false, true}) {
    const int64_t peak = testing::peak_bytes_of(at::kCPU, [&] { text_softmax(hidden, words, targets, trained); });
    EXPECT_GT(peak, block / 2);
    EXPECT_LT(peak, 16 * kPositionBytes + (trained ? kHeadBytes : 0) + block + block / 4);
  }
}

TEST(ItemSoftmax, MemoryOfARankIsThatOfItsRowsAndOneBlock) {
  testing::run_ranks(2, [&](Communicator& comm) {
    const RowPartition partition(2 * kLargeHead.V, 2);
    const at::Tensor hidden = normal({kLargeHead.A / 2, kLargeHead.D}, 1).to(at::kFloat);
    const at::Tensor items = normal({kLargeHead.V, kLargeHead.D}, 2).to(at::kFloat);
    const Targets targets = some_targets(kLargeHead.A / 2, 2 * kLargeHead.V, 5);
    const int64_t block = logit_blocks(hidden).bytes;
    const int64_t peak = testing::peak_bytes_of(
        at::kCPU, [&] { item_softmax(comm, partition, ItemSoftmax::kSharded, hidden, items, targets); });
    EXPECT_GT(peak, kHeadBytes);
    EXPECT_LT(peak, 32 * kPositionBytes + kHeadBytes + block + block / 4);
  });
}

TEST(TextSoftmax, HugeLogitsDoNotOverflow) {
  const at::Tensor hidden = at::full({1, 2}, 1e3, at::kFloat),
                   words = at::tensor({1.0, 1.0, -1.0, -1.0}, at::kFloat).view({2, 2});
  const Targets targets{at::tensor({0, 1}, at::kLong), at::tensor({1}, at::kLong), at::ones({1}, at::kDouble)};
  const HeadResult result = text_softmax(hidden, words, targets);
  EXPECT_NEAR(result.loss, 4000, 1e-2);
  EXPECT_TRUE(at::allclose(result.hidden_gradient, at::full({1, 2}, 2.0, at::kFloat)));
}

}  // namespace
}  // namespace cllm
