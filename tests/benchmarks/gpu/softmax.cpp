#include "model/losses/softmax_head.h"

#include <ATen/ops/arange.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/full.h>
#include <ATen/ops/mm.h>
#include <ATen/ops/randint.h>
#include <ATen/ops/randn.h>
#include <c10/cuda/CUDACachingAllocator.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <tuple>

#include "model/kernels/rows/rows.h"
#include "model/losses/sampled_softmax.h"
#include "tests/benchmarks/gpu/measure.h"
#include "tests/support/thread_world.h"

namespace cllm::bench {
namespace {

constexpr int64_t kWidth = 768;

/// Three products per position and head row (logits, dH, dW); without a weight gradient two.
double flops_of(int64_t A, int64_t V, bool trained) {
  return (trained ? 6.0 : 4.0) * static_cast<double>(A) * static_cast<double>(V) * kWidth;
}

/// The same products alone, in blocks of `b` positions: the library's rate for these shapes.
double rate_of_products(int64_t A, int64_t V, int64_t b, bool trained) {
  const auto options = at::TensorOptions().device(at::kCUDA).dtype(at::kBFloat16);
  const at::Tensor hidden = at::randn({b, kWidth}, options), head = at::randn({V, kWidth}, options);
  at::Tensor logits = at::empty({b, V}, options), dh = at::empty_like(hidden), dw = at::empty_like(head);
  const Times times = time_on_device(10, [&](int) {
    at::mm_out(logits, hidden, head.t());
    at::mm_out(dh, logits, head);
    if (trained) at::mm_out(dw, logits.t(), hidden);
  });
  return flops_of(A, V, trained) / (times.median() * static_cast<double>(A) / static_cast<double>(b)) / 1e12;
}

size_t peak_bytes() { return c10::cuda::CUDACachingAllocator::getDeviceStats(0).allocated_bytes[0].peak; }
size_t used_bytes() { return c10::cuda::CUDACachingAllocator::getDeviceStats(0).allocated_bytes[0].current; }

std::string name_of(int64_t A, int64_t V, bool trained) {
  return std::string(trained ? "item" : "text") + " softmax, A " + std::to_string(A) + ", V " + std::to_string(V);
}

/// One target for each of A positions among V rows.
Targets random_targets(int64_t A, int64_t V) {
  const auto options = at::TensorOptions().device(at::kCUDA);
  return {at::arange(A + 1, options.dtype(at::kLong)), at::randint(V, {A}, options.dtype(at::kLong)),
          at::full({A}, 1.0 / static_cast<double>(A), options.dtype(at::kDouble))};
}

/// The item softmax as a training step calls it: bf16 hidden states, an fp32 shard of the table that is rounded once
/// per call, its fp32 gradient; and the text softmax with its frozen bf16 head. Of the peak, V rows are the shard in
/// bf16 and its gradient (6 V D bytes).
void measure(const Limits& limits, Report& report, int64_t A, int64_t V, bool trained) {
  const auto options = at::TensorOptions().device(at::kCUDA);
  const at::Tensor hidden = at::randn({A, kWidth}, options).to(at::kBFloat16),
                   head = at::randn({V, kWidth}, options).mul_(0.02).to(trained ? at::kFloat : at::kBFloat16);
  const Targets targets = random_targets(A, V);
  c10::cuda::CUDACachingAllocator::resetPeakStats(0);
  const size_t before = used_bytes();
  Times times;
  if (trained) {
    testing::run_ranks(1, [&](Communicator& comm) {
      times = time_on_device(
          10, [&](int) { item_softmax(comm, RowPartition(V, 1), ItemSoftmax::kSharded, hidden, head, targets); });
    });
  } else {
    times = time_on_device(10, [&](int) { text_softmax(hidden, head, targets); });
  }
  const double unit = 4.0 * static_cast<double>(A) * kWidth,
               of_rows = trained ? 6.0 * static_cast<double>(V) * kWidth : 0;
  const double extra = static_cast<double>(peak_bytes() - before);
  const double alone = rate_of_products(A, V, std::min<int64_t>(A, 8192), trained);
  const double flops = flops_of(A, V, trained);
  char note[200];
  std::snprintf(note, sizeof(note),
                "%.3f of the products alone at these shapes (%.0f TFLOP/s); peak extra memory %.2f x fp32 [A, D], %.2f "
                "of it [V, D]",
                flops / times.median() / 1e12 / alone, alone, extra / unit, of_rows / unit);
  report.add({name_of(A, V, trained), times, flops, "TFLOP/s", limits.gemm_tflop_s, "product 8192^3", 0.85, note});
}

/// S shared negatives instead of J items, with the rows that a step has fetched: three products of A positions with S
/// rows, and for each position's own target a dot product and two scaled rows (6 D).
void measure_sampled(const Limits& limits, Report& report, int64_t A, int64_t S) {
  constexpr int64_t J = 1 << 20;
  const auto options = at::TensorOptions().device(at::kCUDA);
  const at::Tensor hidden = at::randn({A, kWidth}, options).to(at::kBFloat16),
                   items = at::randn({J, kWidth}, options).mul_(0.02);
  const Targets targets = random_targets(A, J);
  const at::Tensor negatives = at::randint(J, {S}, options.dtype(at::kLong));
  const Times times = time_on_device(10, [&](int) {
    sampled_softmax(hidden,
                    {negatives, kernels::gather_rows(items, negatives), kernels::gather_rows(items, targets.ids_K),
                     std::log(static_cast<double>(S) / static_cast<double>(J))},
                    targets);
  });
  const double flops = flops_of(A, S, true) + 6.0 * static_cast<double>(A) * kWidth;
  const double alone = rate_of_products(A, S, std::min<int64_t>(A, 8192), true);
  char note[120];
  std::snprintf(note, sizeof(note),
                "%.3f of the products alone at these shapes (%.0f TFLOP/s); the gather of the rows is in it",
                flops / times.median() / 1e12 / alone, alone);
  report.add({"sampled softmax, A " + std::to_string(A) + ", S " + std::to_string(S), times, flops, "TFLOP/s",
              limits.gemm_tflop_s, "product 8192^3", 0, note});
}

}  // namespace

void measure_softmax(const Limits& limits, Report& report) {
  for (const auto& [A, V, trained] : {std::tuple(65536, 12101, true),  // the items of amazon_beauty
                                      {65536, 131072, true},
                                      {8192, 131072, true},
                                      {65536, 50257, false}}) {  // GPT-2's words
    report.attempt(name_of(A, V, trained),
                   [&, A = A, V = V, trained = trained] { measure(limits, report, A, V, trained); });
  }
  report.attempt("sampled softmax", [&] { measure_sampled(limits, report, 65536, 4096); });
}

}  // namespace cllm::bench
