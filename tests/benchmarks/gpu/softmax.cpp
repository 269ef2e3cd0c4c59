#include "model/softmax_head.h"

#include <ATen/ops/arange.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/full.h>
#include <ATen/ops/mm.h>
#include <ATen/ops/randint.h>
#include <ATen/ops/randn.h>
#include <c10/cuda/CUDACachingAllocator.h>

#include <algorithm>
#include <cstdio>
#include <tuple>

#include "tests/benchmarks/gpu/measure.h"

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

void measure(const Limits& limits, Report& report, int64_t A, int64_t V, bool trained) {
  const auto options = at::TensorOptions().device(at::kCUDA);
  const at::Tensor hidden = at::randn({A, kWidth}, options).to(at::kBFloat16),
                   head = at::randn({V, kWidth}, options).mul_(0.02).to(at::kBFloat16);
  const Targets targets{at::arange(A + 1, options.dtype(at::kLong)), at::randint(V, {A}, options.dtype(at::kLong)),
                        at::full({A}, 1.0 / static_cast<double>(A), options.dtype(at::kDouble))};
  c10::cuda::CUDACachingAllocator::resetPeakStats(0);
  const size_t before = used_bytes();
  const Times times = time_on_device(10, [&](int) { text_softmax(hidden, head, targets, trained); });
  const double unit = 4.0 * static_cast<double>(A) * kWidth, extra = static_cast<double>(peak_bytes() - before);
  const double alone = rate_of_products(A, V, std::min<int64_t>(A, 8192), trained);
  const double flops = flops_of(A, V, trained);
  char note[160];
  std::snprintf(note, sizeof(note),
                "%.3f of the products alone at these shapes (%.0f TFLOP/s); peak extra memory %.2f x fp32 [A, D]",
                flops / times.median() / 1e12 / alone, alone, extra / unit);
  report.add({name_of(A, V, trained), times, flops, "TFLOP/s", limits.gemm_tflop_s, "product 8192^3", 0.85, note});
}

}  // namespace

void measure_softmax(const Limits& limits, Report& report) {
  for (const auto& [A, V, trained] : {std::tuple(65536, 12101, true),  // the items of amazon_beauty
                                      {65536, 131072, true},
                                      {8192, 131072, true},
                                      {65536, 50257, false}}) {  // GPT-2's words
    report.attempt(name_of(A, V, trained), [&] { measure(limits, report, A, V, trained); });
  }
}

}  // namespace cllm::bench
