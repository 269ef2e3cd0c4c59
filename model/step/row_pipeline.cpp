#include "model/step/row_pipeline.h"

#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/empty.h>

#include <algorithm>
#include <utility>
#include <vector>

#include "model/kernels/rows/row_segments.h"
#include "model/kernels/rows/rows.h"

namespace cllm {

RowExchange make_row_exchange(const Channels& channels, TwoLevels* levels, const Table& table) {
  const at::Device device = table.weight.device();
  RowKernels of_device = kernels::row_kernels(device);
  return levels != nullptr ? RowExchange(*levels, table.layout, device, std::move(of_device))
                           : RowExchange(channels.exchange, table.layout, device, std::move(of_device));
}

kernels::RowGradient join_gradients(const TableLayout& layout, const Route& route, const GradientParts& parts,
                                    const at::Tensor& item_head_gradient) {
  kernels::RowGradient out{.rows_M = route.touched_local_M, .parts_PD = parts.values_PD};
  at::Tensor row_of_P = parts.row_of_P;
  if (item_head_gradient.defined()) {
    const int64_t first_item = layout.num_local_users();
    const std::vector<int64_t>& touched = (route.beyond ? *route.beyond : route).distinct;
    const int64_t num_users = std::lower_bound(touched.begin(), touched.end(), first_item) - touched.begin();
    const int64_t num_items = route.touched_local_M.size(0) - num_users;
    const at::TensorOptions options = route.touched_local_M.options();
    const at::Tensor m_of_touched =
        at::cat({at::arange(num_users, options),
                 route.touched_local_M.narrow(0, num_users, num_items) - (first_item - num_users)});
    row_of_P = row_of_P.defined() ? m_of_touched.index_select(0, row_of_P) : m_of_touched;
    out.rows_M = at::cat(
        {route.touched_local_M.narrow(0, 0, num_users), at::arange(first_item, layout.num_local_rows(), options)});
    out.head_ID = item_head_gradient;
  }
  if (row_of_P.defined()) out.segments = kernels::group_by_row(row_of_P, out.rows_M.size(0));
  return out;
}

/// What a step leaves to do when its gradients are on their way.
struct RowPipeline::Unfinished {
  Route route;
  Returning returning;
  at::Tensor item_head_gradient;
};

RowPipeline::RowPipeline(const Channels& channels, Table& table, const RowOptimizer& optimizer, TwoLevels* levels)
    : table_(table), optimizer_(optimizer), exchange_(make_row_exchange(channels, levels, table)) {}

RowPipeline::~RowPipeline() = default;

TakenRows RowPipeline::take(std::span<const int32_t> rows_T, const BeforeChange& before_change) {
  const at::NoGradGuard no_grad;
  if (optimizer_.moves_absent_rows()) before_change();
  TakenRows taken{exchange_.route(rows_T), {}};
  optimizer_.catch_up(table_, taken.route.touched_local_M);
  taken.rows_UD = exchange_.fetch(taken.route, table_.weight).to(table_.compute_dtype());
  return taken;
}

TakenRows RowPipeline::read(std::span<const int32_t> rows_T) {
  const at::NoGradGuard no_grad;
  TakenRows taken{exchange_.route(rows_T), {}};
  taken.rows_UD = exchange_.fetch(taken.route, table_.weight).to(table_.compute_dtype());
  return taken;
}

void RowPipeline::catch_up_items(const BeforeChange& before_change) {
  if (optimizer_.moves_absent_rows()) before_change();
  const TableLayout& layout = table_.layout;
  optimizer_.catch_up(
      table_, at::arange(layout.num_local_users(), layout.num_local_rows(), table_.weight.options().dtype(at::kLong)));
}

void RowPipeline::give_back(TakenRows taken, const at::Tensor& gradients_UD, const at::Tensor& item_head_gradient) {
  const at::NoGradGuard no_grad;
  TORCH_CHECK(!unfinished_, "the gradients of the step before are not settled");
  Returning returning = exchange_.start_return(taken.route, gradients_UD);
  unfinished_ =
      std::make_unique<Unfinished>(Unfinished{std::move(taken.route), std::move(returning), item_head_gradient});
}

at::Tensor RowPipeline::settle(double learning_rate, const BeforeChange& before_change) {
  const at::NoGradGuard no_grad;
  TORCH_CHECK(unfinished_, "no gradients to settle");
  const auto rest = std::exchange(unfinished_, nullptr);
  const GradientParts parts = exchange_.finish_return(rest->route, std::move(rest->returning));
  kernels::RowGradient gradient = join_gradients(table_.layout, rest->route, parts, rest->item_head_gradient);
  gradient.sum_M = at::empty({gradient.rows_M.size(0)}, gradient.parts_PD.options());
  before_change();
  optimizer_.update(table_, gradient, learning_rate);
  return gradient.sum_M.sum();
}

void RowPipeline::flush(const BeforeChange& before_change) {
  if (optimizer_.moves_absent_rows()) before_change();
  optimizer_.flush(table_);
}

}  // namespace cllm
