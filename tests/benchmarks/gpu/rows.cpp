#include <ATen/ops/_unique2.h>
#include <ATen/ops/rand.h>
#include <ATen/ops/randn.h>
#include <ATen/ops/randperm.h>
#include <ATen/ops/zeros.h>
#include <ATen/ops/zeros_like.h>

#include <algorithm>

#include "model/kernels/cuda.h"
#include "tests/benchmarks/gpu/measure.h"

// Rows of a table of 6.4 GB (fp32), far beyond the cache; every run takes other rows.

namespace cllm::bench {
namespace {

namespace device = kernels::cuda;
constexpr int64_t kTableRows = 1 << 21, kWidth = 768;
constexpr int kSets = 4;  // index sets to rotate among

std::vector<at::Tensor> random_rows(int64_t count) {
  std::vector<at::Tensor> sets;
  for (int n = 0; n < kSets; ++n) {
    const at::Tensor all = at::randperm(kTableRows, at::TensorOptions().dtype(at::kLong).device(at::kCUDA));
    sets.push_back(std::get<0>(all.narrow(0, 0, count).sort()).contiguous());
  }
  return sets;
}

void measure_gather(const Limits& limits, Report& report, at::ScalarType dtype, int64_t count) {
  const at::Tensor table = at::randn({kTableRows, kWidth}, at::TensorOptions().device(at::kCUDA)).to(dtype);
  const std::vector<at::Tensor> rows = random_rows(count);
  const Times times = time_on_device(40, [&](int n) { device::gather_rows(table, rows[n % kSets]); });
  const double bytes = static_cast<double>(count) * (2.0 * kWidth * static_cast<double>(table.element_size()) + 8);
  report.add({"gather of " + std::to_string(count) + " rows, " + (dtype == at::kFloat ? "fp32" : "bf16"), times, bytes, "GB/s",
              limits.copy_gb_s, "copy", 0.85, ""});
}

/// T contributions to about 0.43 T distinct rows in the proportions of a popularity list (a few rows get thousands), then Adam, one pass.
void measure_update(const Limits& limits, Report& report, int64_t T, int64_t missed_updates) {
  const auto options = at::TensorOptions().device(at::kCUDA);
  const at::Tensor weight = at::randn({kTableRows, kWidth}, options), m = at::zeros_like(weight), v = at::zeros_like(weight);
  at::Tensor row_step = at::zeros({kTableRows}, options.dtype(at::kInt));
  const at::Tensor values_TD = at::randn({T, kWidth}, options);
  const at::Tensor popularity = at::rand({T}, options).pow(3.0);  // density ~ x^(-2/3)
  const auto [rows, inverse, counts] = at::_unique2((popularity * static_cast<double>(T)).to(at::kLong), true, true, false);
  const int64_t M = rows.size(0);
  const kernels::RowSegments segments = kernels::group_by_row(inverse, M);
  const std::vector<at::Tensor> places = random_rows(M);
  kernels::AdamCall call{1e-3, 0.9, 0.999, 1e-8, 1};
  const auto prepare = [&](int n) {
    ++call.step;
    row_step.index_fill_(0, places[n % kSets], std::max<int64_t>(0, call.step - 1 - missed_updates));
  };
  const auto work = [&](int n) { device::adam_update(weight, m, v, row_step, {places[n % kSets], values_TD, segments}, call); };
  const Times times = time_on_device(40, work, prepare);
  const double bytes =
      4.0 * kWidth * (static_cast<double>(T) + 6.0 * static_cast<double>(M)) + 8.0 * static_cast<double>(T + 3 * M);
  report.add({"segment-reduce + Adam, T " + std::to_string(T) + (missed_updates ? ", stale rows" : ""), times, bytes, "GB/s",
              limits.copy_gb_s, "copy", missed_updates ? 0 : 0.60,
              "M " + std::to_string(M) + " rows, " + std::to_string(segments.num_pieces()) + " pieces of long rows"});
}

}  // namespace

void measure_rows(const Limits& limits, Report& report) {
  for (const int64_t count : {8192, 65536, 262144})
    report.attempt("gather, fp32", [&] { measure_gather(limits, report, at::kFloat, count); });
  report.attempt("gather, bf16", [&] { measure_gather(limits, report, at::kBFloat16, 262144); });
  for (const int64_t T : {65536, 262144}) report.attempt("segment-reduce + Adam", [&] { measure_update(limits, report, T, 0); });
  report.attempt("segment-reduce + Adam, stale rows", [&] { measure_update(limits, report, 262144, 4); });
}

}  // namespace cllm::bench
