#include "dist/row_exchange.h"

#include <ATen/Parallel.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/index_select.h>
#include <ATen/ops/zeros.h>

#include <algorithm>
#include <numeric>

namespace cllm {
namespace {

/// (row, position) in one word: sorting is by row, then by position.
uint64_t packed(int64_t row, int64_t position) { return static_cast<uint64_t>(row) << 32 | static_cast<uint64_t>(position); }
int64_t row_of(uint64_t key) { return static_cast<int64_t>(key >> 32); }
int64_t position_of(uint64_t key) { return static_cast<int64_t>(key & 0xffffffffU); }

struct Unique {
  std::vector<int64_t> rows;  // distinct rows, ascending
  at::Tensor position;        // int64 [n] index into `rows` of each input row
};

template <typename Row>
Unique unique_rows(std::span<const Row> rows) {
  std::vector<uint64_t> keys(rows.size());
  for (size_t n = 0; n < rows.size(); ++n) keys[n] = packed(rows[n], static_cast<int64_t>(n));
  std::sort(keys.begin(), keys.end());
  Unique out;
  out.position = at::empty({static_cast<int64_t>(rows.size())}, at::kLong);
  int64_t* position = out.position.mutable_data_ptr<int64_t>();
  for (const uint64_t key : keys) {
    if (out.rows.empty() || out.rows.back() != row_of(key)) out.rows.push_back(row_of(key));
    position[position_of(key)] = static_cast<int64_t>(out.rows.size()) - 1;
  }
  return out;
}

at::Tensor to_tensor(std::span<const int64_t> values) {
  at::Tensor out = at::empty({static_cast<int64_t>(values.size())}, at::kLong);
  std::copy(values.begin(), values.end(), out.mutable_data_ptr<int64_t>());
  return out;
}

/// For ascending global rows: the order by (owner, row), and how many rows each owner has. Users and items are each in owner order
/// already, so an owner's rows are one run of the users and one run of the items.
std::vector<int64_t> order_by_owner(const std::vector<int64_t>& rows, const TableLayout& layout,
                                    std::vector<int64_t>& per_owner) {
  const int world_size = layout.users().world_size();
  per_owner.assign(world_size, 0);
  for (const int64_t row : rows) ++per_owner[layout.owner(row)];
  std::vector<int64_t> next(world_size, 0);
  std::exclusive_scan(per_owner.begin(), per_owner.end(), next.begin(), int64_t{0});
  std::vector<int64_t> place(rows.size());  // of each ascending row
  for (size_t n = 0; n < rows.size(); ++n) place[n] = next[layout.owner(rows[n])]++;
  return place;
}

/// out[touched[p]] += in[p] for p ascending. Threads share the columns, so the order of the sum is fixed.
template <typename Scalar>
void sum_rows(const at::Tensor& out_MD, const at::Tensor& in_PD, const at::Tensor& touched_P) {
  const int64_t width = in_PD.size(1), count = in_PD.size(0);
  const Scalar* in = in_PD.const_data_ptr<Scalar>();
  const int64_t* touched = touched_P.const_data_ptr<int64_t>();
  Scalar* out = out_MD.mutable_data_ptr<Scalar>();
  constexpr int64_t kMinElements = 1 << 15;  // per thread
  at::parallel_for(0, width, std::max<int64_t>(16, kMinElements / std::max<int64_t>(count, 1)), [&](int64_t begin, int64_t end) {
    for (int64_t p = 0; p < count; ++p) {
      Scalar* sum = out + touched[p] * width;
      const Scalar* part = in + p * width;
      for (int64_t d = begin; d < end; ++d) sum[d] += part[d];
    }
  });
}

int64_t sum(const std::vector<int64_t>& values) { return std::accumulate(values.begin(), values.end(), int64_t{0}); }

}  // namespace

Route RowExchange::route(std::span<const int32_t> rows_T) {
  for (const int32_t row : rows_T) {
    TORCH_CHECK(row >= 0 && row < layout_.num_rows(), "row ", row, " is outside the table of ", layout_.num_rows(), " rows");
  }
  const Unique wanted = unique_rows(rows_T);
  Route route;
  const std::vector<int64_t> place = order_by_owner(wanted.rows, layout_, route.ask);
  const auto num_unique = static_cast<int64_t>(wanted.rows.size());
  route.unique_rows_U = at::empty({num_unique}, at::kLong);
  int64_t* unique = route.unique_rows_U.mutable_data_ptr<int64_t>();
  for (int64_t n = 0; n < num_unique; ++n) unique[place[n]] = wanted.rows[n];
  route.inverse_T = at::index_select(to_tensor(place), 0, wanted.position);

  const std::vector<int64_t> one_each(comm_.world_size(), 1);
  at::Tensor serve = at::empty({comm_.world_size()}, at::kLong);
  comm_.all_to_all(serve, to_tensor(route.ask), one_each, one_each)->wait();
  route.serve.assign(serve.const_data_ptr<int64_t>(), serve.const_data_ptr<int64_t>() + serve.numel());

  const int64_t num_served = sum(route.serve);
  at::Tensor served = at::empty({num_served}, at::kInt);
  comm_.all_to_all(served, route.unique_rows_U.to(at::kInt), route.serve, route.ask)->wait();
  std::vector<int64_t> local(num_served);
  const int32_t* asked = served.const_data_ptr<int32_t>();
  for (int64_t p = 0; p < num_served; ++p) local[p] = layout_.local(asked[p]);
  route.served_local_P = to_tensor(local);
  Unique touched = unique_rows(std::span<const int64_t>(local));
  route.touched_local_M = to_tensor(touched.rows);
  route.touched_of_served_P = touched.position;
  return route;
}

at::Tensor RowExchange::fetch(const Route& route, const at::Tensor& local_rows) {
  const at::Tensor served = at::index_select(local_rows, 0, route.served_local_P);
  if (comm_.world_size() == 1) return served;
  std::vector<int64_t> shape = local_rows.sizes().vec();
  shape[0] = route.unique_rows_U.numel();
  at::Tensor out = at::empty(shape, local_rows.options());
  comm_.all_to_all(out, served, route.ask, route.serve)->wait();
  return out;
}

at::Tensor RowExchange::return_gradients(const Route& route, const at::Tensor& gradients_UD) {
  if (comm_.world_size() == 1) return gradients_UD;  // every row was asked for once
  const int64_t width = gradients_UD.size(1);
  at::Tensor arrived_PD = at::empty({route.served_local_P.numel(), width}, gradients_UD.options());
  comm_.all_to_all(arrived_PD, gradients_UD.contiguous(), route.serve, route.ask)->wait();
  at::Tensor sums_MD = at::zeros({route.touched_local_M.numel(), width}, gradients_UD.options());
  if (gradients_UD.scalar_type() == at::kDouble) {
    sum_rows<double>(sums_MD, arrived_PD, route.touched_of_served_P);
  } else {
    TORCH_CHECK(gradients_UD.scalar_type() == at::kFloat, "row gradients are fp32 or fp64");
    sum_rows<float>(sums_MD, arrived_PD, route.touched_of_served_P);
  }
  return sums_MD;
}

}  // namespace cllm
