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

kernels::RowGradient join_gradients(const RowLayout& layout, const Route& route, const GradientParts& parts,
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
  RowPull pull;
};

/// The rows of the next step, some of them on their way.
struct RowPipeline::Ahead {
  AskedRows asked;
  Arriving arriving;
};

RowPipeline::RowPipeline(const Channels& channels, Table& table, const RowOptimizer& optimizer, TwoLevels* levels,
                         TextRows* text)
    : table_(table), optimizer_(optimizer), exchange_(make_row_exchange(channels, levels, table)), text_(text) {
  TORCH_CHECK(!text_ || !optimizer_.moves_absent_rows(), "text rows need an optimiser that leaves absent rows alone");
}

RowPipeline::~RowPipeline() = default;

TakenRows RowPipeline::take(std::span<const int32_t> rows_T, const BeforeChange& before_change) {
  const at::NoGradGuard no_grad;
  TORCH_CHECK(!in_step_, "the step before is not settled");
  if (optimizer_.moves_absent_rows()) before_change();
  TakenRows taken;
  at::Tensor rows_UD;
  if (ahead_) {
    Ahead ahead = std::move(*std::exchange(ahead_, nullptr));
    TORCH_CHECK(std::equal(rows_T.begin(), rows_T.end(), ahead.asked.rows_T.begin(), ahead.asked.rows_T.end()),
                "other rows were announced");
    taken.route = std::move(ahead.asked.route);
    optimizer_.catch_up(table_, taken.route.touched_local_M);
    rows_UD = exchange_.finish_fetch(taken.route, std::move(ahead.arriving), table_.weight);
  } else {
    taken.route = exchange_.route(rows_T);
    optimizer_.catch_up(table_, taken.route.touched_local_M);
    if (text_ != nullptr) text_->compose(table_, taken.route.touched_local_M);
    rows_UD = exchange_.fetch(taken.route, table_.rows());
  }
  taken.rows_UD = rows_UD.to(table_.compute_dtype());
  touched_ = (taken.route.beyond ? *taken.route.beyond : taken.route).distinct;
  in_step_ = true;
  items_ = false;
  return taken;
}

TakenRows RowPipeline::read(std::span<const int32_t> rows_T) {
  const at::NoGradGuard no_grad;
  TakenRows taken{exchange_.route(rows_T), {}};
  taken.rows_UD = exchange_.fetch(taken.route, table_.rows()).to(table_.compute_dtype());
  return taken;
}

void RowPipeline::catch_up_items(const BeforeChange& before_change) {
  if (optimizer_.moves_absent_rows()) before_change();
  const RowLayout& layout = table_.layout;
  optimizer_.catch_up(
      table_, at::arange(layout.num_local_users(), layout.num_local_rows(), table_.weight.options().dtype(at::kLong)));
  if (text_ != nullptr) text_->compose_items(table_);
  items_ = true;
}

AskedRows RowPipeline::ask(std::vector<int32_t> rows_T) {
  Route route = exchange_.route(rows_T, SortOn::kHost);
  return {std::move(rows_T), std::move(route)};
}

void RowPipeline::announce(AskedRows asked) {
  const at::NoGradGuard no_grad;
  TORCH_CHECK(!ahead_, "rows were announced already");
  TORCH_CHECK(text_ == nullptr, "text rows move in every step");
  if (!in_step_) optimizer_.catch_up(table_, asked.route.touched_local_M);
  Arriving arriving = exchange_.start_fetch(asked.route, table_.weight, moving_rows());
  ahead_ = std::make_unique<Ahead>(Ahead{std::move(asked), std::move(arriving)});
}

/// Local rows that the update of the step now moves, ascending. Dense Adam moves all rows by every update.
std::vector<int64_t> RowPipeline::moving_rows() const {
  if (!in_step_) return {};
  const RowLayout& layout = table_.layout;
  const int64_t first = optimizer_.moves_absent_rows() ? 0
                        : items_                       ? layout.num_local_users()
                                                       : layout.num_local_rows();  // these and all behind them
  std::vector<int64_t> rows(touched_.begin(), std::lower_bound(touched_.begin(), touched_.end(), first));
  for (int64_t row = first; row < layout.num_local_rows(); ++row) rows.push_back(row);
  return rows;
}

bool RowPipeline::moves(std::span<const int64_t> rows) const {
  const RowLayout& layout = table_.layout;
  const auto end =
      std::lower_bound(rows.begin(), rows.end(), items_ ? layout.num_local_users() : layout.num_local_rows());
  return std::includes(touched_.begin(), touched_.end(), rows.begin(), end);
}

void RowPipeline::give_back(TakenRows taken, const at::Tensor& gradients_UD, const at::Tensor& item_head_gradient) {
  const at::NoGradGuard no_grad;
  TORCH_CHECK(!unfinished_, "the gradients of the step before are not settled");
  Returning returning = exchange_.start_return(taken.route, gradients_UD);
  unfinished_ =
      std::make_unique<Unfinished>(Unfinished{std::move(taken.route), std::move(returning), item_head_gradient, {}});
}

void RowPipeline::pull(RowPull pull) {
  TORCH_CHECK(unfinished_, "no gradients to add a pull to");
  unfinished_->pull = std::move(pull);
}

kernels::RowGradient RowPipeline::collect() {
  const at::NoGradGuard no_grad;
  TORCH_CHECK(unfinished_, "no gradients to settle");
  const auto rest = std::exchange(unfinished_, nullptr);
  in_step_ = false;
  const GradientParts parts = exchange_.finish_return(rest->route, std::move(rest->returning));
  kernels::RowGradient gradient = join_gradients(table_.layout, rest->route, parts, rest->item_head_gradient);
  add_pull(rest->pull, gradient);
  if (text_ != nullptr) text_->add_gradient(gradient);
  return gradient;
}

at::Tensor RowPipeline::settle(double learning_rate, const BeforeChange& before_change) {
  const at::NoGradGuard no_grad;
  kernels::RowGradient gradient = collect();
  gradient.sum_M = at::empty({gradient.rows_M.size(0)}, gradient.parts_PD.options());
  before_change();
  optimizer_.update(table_, gradient, learning_rate);
  if (text_ != nullptr) text_->keep_within_bound(table_, gradient.rows_M);
  return gradient.sum_M.sum();
}

void RowPipeline::flush(const BeforeChange& before_change) {
  if (optimizer_.moves_absent_rows()) before_change();
  optimizer_.flush(table_);
  if (text_ != nullptr) text_->compose(table_);
}

}  // namespace cllm
