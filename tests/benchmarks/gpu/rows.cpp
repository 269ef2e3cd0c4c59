#include <ATen/ops/_unique2.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/rand.h>
#include <ATen/ops/randn.h>
#include <ATen/ops/randperm.h>
#include <ATen/ops/zeros.h>
#include <ATen/ops/zeros_like.h>

#include <algorithm>

#include "model/kernels/device/grid.h"
#include "model/kernels/rows/cuda.h"
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
  report.add({"gather of " + std::to_string(count) + " rows, " + (dtype == at::kFloat ? "fp32" : "bf16"), times, bytes,
              "GB/s", limits.copy_gb_s, "copy", 0.85, ""});
}

/// What one update of training is made of: T contributions to M rows in the proportions of a popularity list (a few
/// rows get thousands), and where they belong.
struct Contributions {
  at::Tensor values_TD, row_of_T;
  int64_t num_rows;
  std::vector<at::Tensor> places;  // M rows of the table, kSets times
};

Contributions random_contributions(int64_t T) {
  const auto options = at::TensorOptions().device(at::kCUDA);
  const at::Tensor popularity = at::rand({T}, options).pow(3.0);  // density ~ x^(-2/3): about 0.43 T distinct rows
  const auto [rows, inverse, counts] =
      at::_unique2((popularity * static_cast<double>(T)).to(at::kLong), true, true, false);
  return {at::randn({T, kWidth}, options), inverse, rows.size(0), random_rows(rows.size(0))};
}

void measure_grouping(const Limits& limits, Report& report, int64_t T) {
  const Contributions c = random_contributions(T);
  const Times times = time_on_device(40, [&](int) { kernels::group_by_row(c.row_of_T, c.num_rows); });
  const double bytes =
      8.0 * static_cast<double>(2 * T + 2 * c.num_rows);  // the rows in, order and two lists of offsets out
  report.add({"group_by_row, T " + std::to_string(T), times, bytes, "GB/s", limits.copy_gb_s, "copy", 0,
              "a stable sort: many passes over few bytes"});
}

struct UpdateForm {
  int64_t T;
  int64_t missed_updates = 0;   // of each row, which Adam owes it
  bool grouped_inside = false;  // group_by_row is timed too, as a step does it
  bool has_head_and_pull =
      false;  // the last half of the rows has a row of the head's gradient, every fourth row a pull to the other side

  std::string name() const {
    return "segment-reduce + Adam, T " + std::to_string(T) + (missed_updates ? ", stale rows" : "") +
           (has_head_and_pull ? ", head and pull" : "") + (grouped_inside ? ", with group_by_row" : "");
  }
};

/// One update as training makes it: contributions, head and pull of a RowGradient are summed while Adam runs, and the
/// sums are reported.
void measure_update(const Limits& limits, Report& report, const UpdateForm& form) {
  const auto options = at::TensorOptions().device(at::kCUDA);
  const at::Tensor weight = at::randn({kTableRows, kWidth}, options), m = at::zeros_like(weight),
                   v = at::zeros_like(weight);
  at::Tensor row_step = at::zeros({kTableRows}, options.dtype(at::kInt));
  const kernels::RowTensors table{weight, {m, v}, row_step};
  const kernels::RowRule& adam = *kernels::find_row_rule("adam");
  const Contributions c = random_contributions(form.T);
  const int64_t T = form.T, M = c.num_rows, I = form.has_head_and_pull ? M / 2 : 0,
                C = form.has_head_and_pull ? device::divide_up(M, 4) : 0;
  const kernels::RowSegments segments = kernels::group_by_row(c.row_of_T, M);
  kernels::RowGradient gradient{
      .rows_M = {}, .parts_PD = c.values_TD, .segments = segments, .sum_M = at::empty({M}, options)};
  if (form.has_head_and_pull) {
    gradient.head_ID = at::randn({I, kWidth}, options);
    gradient.fixed_ND = at::randn({kTableRows, kWidth}, options);
    gradient.pull_M = (at::arange(M, options.dtype(at::kLong)).remainder(4) == 0).to(at::kFloat) * 1e-3;
  }
  kernels::RowCall call{1e-3, 0.9, 0.999, 1e-8, 1};
  const auto prepare = [&](int n) {
    ++call.step;
    row_step.index_fill_(0, c.places[n % kSets], std::max<int64_t>(0, call.step - 1 - form.missed_updates));
  };
  const auto work = [&](int n) {
    gradient.rows_M = c.places[n % kSets];
    if (form.grouped_inside) gradient.segments = kernels::group_by_row(c.row_of_T, M);
    device::update_rows(adam, table, gradient, call);
  };
  const Times times = time_on_device(40, work, prepare);
  // Rows of 4 D bytes: T contributions read; weight, m and v of M rows read and written; I rows of the head and C of
  // the other side read. Beside them: an int64 per contribution (order) and two per row (offsets, place), a counter
  // read and written, pull and sum. What the pieces of long rows write and read again is the kernel's own affair, and
  // so is the sort: neither counts.
  const double bytes = 4.0 * kWidth * static_cast<double>(T + 6 * M + I + C) + 8.0 * static_cast<double>(T + 2 * M) +
                       4.0 * static_cast<double>(3 * M + (form.has_head_and_pull ? M : 0));
  report.add({form.name(), times, bytes, "GB/s", limits.copy_gb_s, "copy", form.missed_updates ? 0 : 0.60,
              "M " + std::to_string(M) + " rows, " + std::to_string(segments.num_pieces()) +
                  " places for pieces of long rows"});
}

}  // namespace

void measure_rows(const Limits& limits, Report& report) {
  for (const int64_t count : {8192, 65536, 262144})
    report.attempt("gather, fp32", [&] { measure_gather(limits, report, at::kFloat, count); });
  report.attempt("gather, bf16", [&] { measure_gather(limits, report, at::kBFloat16, 262144); });
  const int64_t T = 262144;
  for (const UpdateForm& form : {UpdateForm{.T = 65536},
                                 {.T = T},
                                 {.T = T, .grouped_inside = true},
                                 {.T = T, .has_head_and_pull = true},
                                 {.T = T, .grouped_inside = true, .has_head_and_pull = true},
                                 {.T = T, .missed_updates = 4}}) {
    report.attempt(form.name(), [&] { measure_update(limits, report, form); });
  }
  report.attempt("group_by_row", [&] { measure_grouping(limits, report, T); });
}

}  // namespace cllm::bench
