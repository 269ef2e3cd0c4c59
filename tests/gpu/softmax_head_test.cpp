#include "model/losses/softmax_head.h"

#include <ATen/core/grad_mode.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/mm.h>
#include <ATen/ops/rand.h>
#include <ATen/ops/randint.h>
#include <ATen/ops/zeros.h>

#include <gtest/gtest.h>

#include <cmath>
#include <memory>
#include <vector>

#include "dist/communicator/joined_communicator.h"
#include "model/losses/sampled_softmax.h"
#include "model/nn/products.h"
#include "tests/gpu/on_host/staged_communicator.h"
#include "tests/gpu/test_device.h"
#include "tests/support/peak_memory.h"
#include "tests/support/thread_world.h"

// The heads on a device against the CPU's in fp64, which tests/model/softmax compares with the formulas. Letters: A
// positions, K targets, V rows of a head, S negatives, D width.

namespace cllm {
namespace {

using namespace test;

struct HeadProblem {
  at::Tensor hidden_AD, head_VD;
  Targets targets;
};

/// A positions with 0, 1 or 2 targets in turn; logits of a few units.
HeadProblem head_problem(int64_t A, int64_t V, int64_t D) {
  at::Tensor counts_A = at::arange(A, at::kLong).remainder(3);
  const at::Tensor offsets_A1 = at::cat({at::zeros({1}, at::kLong), counts_A.cumsum(0)});
  const int64_t K = offsets_A1[A].item<int64_t>();
  return {
      random({A, D}), random({V, D}) * 0.4, {offsets_A1, at::randint(V, {K}, at::kLong), at::rand({K}, at::kDouble)}};
}

Targets on_device(const Targets& targets) {
  return {to_device(targets.offsets_A1), to_device(targets.ids_K), to_device(targets.weights_K)};
}

at::Tensor exact(const at::Tensor& tensor) { return tensor.to(at::kDouble); }

struct HeadPrecision {
  at::ScalarType compute, table;
  double loss, gradients;  // relative tolerances; in bf16 logits and probabilities are rounded
};
constexpr HeadPrecision kHeadPrecisions[]{{at::kDouble, at::kDouble, 1e-13, 1e-12},
                                          {at::kFloat, at::kFloat, 1e-6, 1e-5},
                                          {at::kBFloat16, at::kFloat, 2e-3, 1e-2},
                                          {at::kBFloat16, at::kBFloat16, 2e-3, 1e-2}};

/// As on the device by default; several blocks of positions, kept if a form does; ranges of the rows, nothing kept.
std::vector<LogitBlocks> ways_to_cut(const at::Tensor& hidden_AD) {
  return {logit_blocks(hidden_AD),
          {.bytes = 1, .least_positions = 16, .whole_row_bytes = 1 << 30, .kept_bytes = 1 << 30},
          {.bytes = 16 * 96 * static_cast<int64_t>(hidden_AD.element_size()),
           .least_positions = 16,
           .whole_row_bytes = 0,
           .kept_bytes = 0}};
}

/// What the device reads in this precision, but in fp64 on the CPU.
HeadResult in_fp64(const HeadProblem& p, at::ScalarType compute) {
  return text_softmax(exact(p.hidden_AD.to(compute)), exact(p.head_VD.to(compute)), p.targets,
                      /*want_weight_gradient=*/true);
}

TEST(TextSoftmaxOnDevice, IsTheCpusInFp64) {
  const HeadProblem p = head_problem(50, 301, 24);
  for (const HeadPrecision& precision : kHeadPrecisions) {
    const HeadResult want = in_fp64(p, precision.compute);
    const at::Tensor hidden = to_device(p.hidden_AD.to(precision.compute)),
                     words = to_device(p.head_VD.to(precision.compute));
    for (const LogitBlocks& blocks : ways_to_cut(hidden)) {
      SCOPED_TRACE(::testing::Message() << precision.compute << ", blocks of " << blocks.bytes << " bytes");
      const HeadResult got = text_softmax(hidden, words, on_device(p.targets), true, blocks);
      EXPECT_NEAR(got.loss, want.loss, precision.loss * want.loss);
      EXPECT_EQ(got.hidden_gradient.scalar_type(), precision.compute);
      EXPECT_LT(relative_error(got.hidden_gradient, want.hidden_gradient), precision.gradients);
      EXPECT_LT(relative_error(got.weight_gradient, want.weight_gradient), precision.gradients);
      const HeadResult frozen = text_softmax(hidden, words, on_device(p.targets), false, blocks);
      EXPECT_FALSE(frozen.weight_gradient.defined());
      EXPECT_TRUE(same_bits(frozen.hidden_gradient, got.hidden_gradient));
    }
  }
}

/// The positions [first, last) and their targets.
HeadProblem part_of(const HeadProblem& p, int64_t first, int64_t last) {
  const auto offset = [&](int64_t a) { return p.targets.offsets_A1[a].item<int64_t>(); };
  const int64_t first_target = offset(first), count = offset(last) - first_target;
  return {p.hidden_AD.narrow(0, first, last - first),
          p.head_VD,
          {p.targets.offsets_A1.narrow(0, first, last - first + 1) - first_target,
           p.targets.ids_K.narrow(0, first_target, count), p.targets.weights_K.narrow(0, first_target, count)}};
}

/// item_softmax on `world_size` ranks that share the device, of which the last has most positions, put together again.
HeadResult on_ranks(int world_size, ItemSoftmax form, const HeadProblem& p, const HeadPrecision& precision,
                    size_t cut) {
  const int64_t A = p.hidden_AD.size(0), V = p.head_VD.size(0);
  std::vector<HeadResult> of_rank(static_cast<size_t>(world_size));
  testing::run_ranks(world_size, [&](Communicator& host) {
    const at::NoGradGuard no_grad;
    const auto comm = join(host.duplicate("host"), std::make_unique<testing::StagedCommunicator>(
                                                       host.duplicate("device"), at::Device(kDevice, 0)));
    const RowPartition items(V, world_size);
    const int64_t first = host.rank() * (A / 5), last = host.rank() + 1 == world_size ? A : first + A / 5;
    const HeadProblem mine = part_of(p, first, last);
    const at::Tensor hidden = to_device(mine.hidden_AD.to(precision.compute));
    const at::Tensor rows = p.head_VD.narrow(0, items.begin(host.rank()), items.size(host.rank())).to(precision.table);
    of_rank[static_cast<size_t>(host.rank())] =
        item_softmax(*comm, items, form, hidden, to_device(rows), on_device(mine.targets), ways_to_cut(hidden)[cut]);
  });
  HeadResult all;
  std::vector<at::Tensor> hidden, rows;
  for (const HeadResult& part : of_rank) {
    all.loss += part.loss;
    hidden.push_back(part.hidden_gradient.cpu());
    rows.push_back(part.weight_gradient.cpu());
  }
  all.hidden_gradient = at::cat(hidden), all.weight_gradient = at::cat(rows);
  return all;
}

TEST(ItemSoftmaxOnDevice, IsTheCpusInFp64InBothForms) {
  const HeadProblem p = head_problem(50, 301, 24);
  for (const HeadPrecision& precision : kHeadPrecisions) {
    const HeadResult want = in_fp64(p, precision.compute);
    for (const auto& [world_size, form] :
         {std::pair{1, ItemSoftmax::kSharded}, {2, ItemSoftmax::kSharded}, {2, ItemSoftmax::kGathered}}) {
      for (const size_t cut : {0, 1, 2}) {
        SCOPED_TRACE(::testing::Message() << precision.compute << " of " << precision.table << ", " << world_size
                                          << " ranks, form " << static_cast<int>(form) << ", cut " << cut);
        const HeadResult got = on_ranks(world_size, form, p, precision, cut);
        EXPECT_NEAR(got.loss, want.loss, precision.loss * want.loss);
        EXPECT_EQ(got.hidden_gradient.scalar_type(), precision.compute);
        EXPECT_EQ(got.weight_gradient.scalar_type(), precision.table == at::kDouble ? at::kDouble : at::kFloat);
        EXPECT_LT(relative_error(got.hidden_gradient, want.hidden_gradient), precision.gradients);
        EXPECT_LT(relative_error(got.weight_gradient, want.weight_gradient), precision.gradients);
      }
    }
  }
}

TEST(ItemSoftmaxOnDevice, NoPositionsGiveZeroGradients) {
  const HeadProblem p = head_problem(0, 301, 24);
  for (const auto& [world_size, form] :
       {std::pair{1, ItemSoftmax::kSharded}, {2, ItemSoftmax::kSharded}, {2, ItemSoftmax::kGathered}}) {
    const HeadResult got = on_ranks(world_size, form, p, {at::kBFloat16, at::kFloat, 0, 0}, 0);
    EXPECT_EQ(got.loss, 0);
    EXPECT_EQ(got.hidden_gradient.numel(), 0);
    EXPECT_EQ(got.weight_gradient.sizes(), p.head_VD.sizes());
    EXPECT_EQ(got.weight_gradient.abs().max().item<float>(), 0);
  }
}

TEST(TextSoftmaxOnDevice, MemoryIsThatOfTheRowsAndOneBlock) {
  const int64_t A = 40, V = 8001, D = 8;
  const HeadProblem p = head_problem(A, V, D);
  const at::Tensor hidden = to_device(p.hidden_AD), words = to_device(p.head_VD);
  const Targets targets = on_device(p.targets);
  const LogitBlocks blocks{.bytes = 80'000, .least_positions = 64, .whole_row_bytes = 160'000, .kept_bytes = 0};
  const int64_t positions = A * D * 4, head = (V + 7) * D * 4, bound = 32 * positions + head + blocks.bytes * 5 / 4;
  for (const bool trained : {false, true}) {
    const auto run = [&] { text_softmax(hidden, words, targets, trained, blocks); };
    run();  // on a GPU also makes cuBLAS's workspace, which stays
    // The A V logits are 1.3 MB. Targets are grouped by the head's row with some int64 per row.
    EXPECT_LT(testing::peak_bytes_of(kDevice, run), bound + (trained ? head + 64 * V : 0));
  }
}

TEST(ProductsOnDevice, OfBfloat16MatricesLeaveTheMultiplierInFp32) {
  const at::Tensor a = random({33, 40}, at::kBFloat16), b = random({40, 24}, at::kBFloat16), start = random({33, 24});
  const at::Tensor want = at::mm(exact(a), exact(b));
  const at::Tensor got = product(to_device(a), to_device(b));
  EXPECT_EQ(got.scalar_type(), at::kFloat);
  EXPECT_LT(relative_error(got, want), 1e-6);
  at::Tensor sum = to_device(start);
  add_product(sum, to_device(a), to_device(b));
  EXPECT_LT(relative_error(sum, exact(start) + want), 1e-6);
}

struct SampledCase {
  at::ScalarType dtype;
  double loss, gradients;  // tolerances
};

/// Reads what a device of this precision reads, but in fp64 on the CPU.
SampledResult sampled_in_fp64(const HeadProblem& p, const SampledRows& rows, at::ScalarType dtype) {
  return sampled_softmax(
      exact(p.hidden_AD.to(dtype)),
      {rows.items_S, exact(rows.negatives_SD.to(dtype)), exact(rows.targets_KD.to(dtype)), rows.log_expected},
      p.targets);
}

TEST(SampledSoftmaxOnDevice, IsTheCpusInFp64) {
  // In bf16 the probabilities are rounded before they are multiplied; logits and sums are not.
  for (const SampledCase& c :
       {SampledCase{at::kDouble, 1e-13, 1e-12}, {at::kFloat, 1e-6, 1e-5}, {at::kBFloat16, 1e-6, 5e-3}}) {
    SCOPED_TRACE(c.dtype);
    const HeadProblem p = head_problem(50, 301, 24);
    const at::Tensor items_S = at::cat({at::randint(301, {37}, at::kLong), p.targets.ids_K.narrow(0, 0, 4)});
    const SampledRows rows{items_S, p.head_VD.index_select(0, items_S), p.head_VD.index_select(0, p.targets.ids_K),
                           std::log(41.0 / 301)};
    const at::ScalarType table = c.dtype == at::kDouble ? at::kDouble : at::kFloat;
    const SampledResult want = sampled_in_fp64(p, rows, c.dtype);
    const SampledResult got = sampled_softmax(to_device(p.hidden_AD.to(c.dtype)),
                                              {to_device(items_S), to_device(rows.negatives_SD.to(table)),
                                               to_device(rows.targets_KD.to(table)), rows.log_expected},
                                              on_device(p.targets));
    EXPECT_NEAR(got.loss, want.loss, c.loss * want.loss);
    EXPECT_EQ(got.hidden_gradient.scalar_type(), c.dtype);
    EXPECT_EQ(got.negative_gradient.scalar_type(), table);
    EXPECT_LT(relative_error(got.hidden_gradient, want.hidden_gradient), c.gradients);
    EXPECT_LT(relative_error(got.negative_gradient, want.negative_gradient), c.gradients);
    EXPECT_LT(relative_error(got.target_gradient, want.target_gradient), c.gradients);
  }
}

}  // namespace
}  // namespace cllm
