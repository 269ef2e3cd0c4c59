#include "dist/rows/row_exchange.h"

#include <ATen/Parallel.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/index_select.h>
#include <ATen/ops/zeros.h>

#include <algorithm>
#include <numeric>

#include "dist/device/device.h"

namespace cllm {
namespace {

/// (row, position) in one word: sorting is by row, then by position.
uint64_t packed(int64_t row, int64_t position) {
  return static_cast<uint64_t>(row) << 32 | static_cast<uint64_t>(position);
}
int64_t row_of(uint64_t key) { return static_cast<int64_t>(key >> 32); }
int64_t position_of(uint64_t key) { return static_cast<int64_t>(key & 0xffffffffU); }

UniqueRows unique_rows(std::span<const int32_t> rows_T) {
  std::vector<uint64_t> keys(rows_T.size());
  for (size_t n = 0; n < rows_T.size(); ++n) keys[n] = packed(rows_T[n], static_cast<int64_t>(n));
  std::sort(keys.begin(), keys.end());
  UniqueRows out;
  out.position_T = at::empty({static_cast<int64_t>(rows_T.size())}, at::kLong);
  int64_t* position = out.position_T.mutable_data_ptr<int64_t>();
  for (const uint64_t key : keys) {
    if (out.rows.empty() || out.rows.back() != row_of(key)) out.rows.push_back(row_of(key));
    position[position_of(key)] = static_cast<int64_t>(out.rows.size()) - 1;
  }
  return out;
}

/// Of rows that are distinct and ascending already.
UniqueRows all_of(const std::vector<int32_t>& rows, at::Device device) {
  const at::TensorOptions options = at::TensorOptions().dtype(at::kLong).device(device);
  return {{rows.begin(), rows.end()}, at::arange(static_cast<int64_t>(rows.size()), options)};
}

at::Tensor to_tensor(std::span<const int64_t> values) {
  at::Tensor out = at::empty({static_cast<int64_t>(values.size())}, at::kLong);
  std::copy(values.begin(), values.end(), out.mutable_data_ptr<int64_t>());
  return out;
}

/// For ascending global rows: the order by (owner, row), and how many rows each owner has.
template <typename Owner>
std::vector<int64_t> order_by_owner(const std::vector<int64_t>& rows, const Owner& owner, int world_size,
                                    std::vector<int64_t>& per_owner) {
  per_owner.assign(world_size, 0);
  for (const int64_t row : rows) ++per_owner[owner(row)];
  std::vector<int64_t> next(world_size, 0);
  std::exclusive_scan(per_owner.begin(), per_owner.end(), next.begin(), int64_t{0});
  std::vector<int64_t> place(rows.size());  // of each ascending row
  for (size_t n = 0; n < rows.size(); ++n) place[n] = next[owner(rows[n])]++;
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
  at::parallel_for(0, width, std::max<int64_t>(16, kMinElements / std::max<int64_t>(count, 1)),
                   [&](int64_t begin, int64_t end) {
                     for (int64_t p = 0; p < count; ++p) {
                       Scalar* sum = out + touched[p] * width;
                       const Scalar* part = in + p * width;
                       for (int64_t d = begin; d < end; ++d) sum[d] += part[d];
                     }
                   });
}

/// The values whose flag is as wanted, and how many of each rank's run of `counts` they are.
std::pair<std::vector<int64_t>, std::vector<int64_t>> choose(const std::vector<int64_t>& values,
                                                             const at::Tensor& flags, bool wanted,
                                                             const std::vector<int64_t>& counts) {
  const auto* const flag = flags.const_data_ptr<uint8_t>();
  std::vector<int64_t> chosen, chosen_counts;
  size_t n = 0;
  for (const int64_t count : counts) {
    const size_t before = chosen.size();
    for (const size_t end = n + static_cast<size_t>(count); n < end; ++n) {
      if ((flag[n] != 0) == wanted) chosen.push_back(values[n]);
    }
    chosen_counts.push_back(static_cast<int64_t>(chosen.size() - before));
  }
  return {std::move(chosen), std::move(chosen_counts)};
}

/// [count, ...] beside a table.
at::Tensor empty_rows(const at::Tensor& table, int64_t count) {
  std::vector<int64_t> shape = table.sizes().vec();
  shape[0] = count;
  return at::empty(shape, table.options());
}

int64_t sum(const std::vector<int64_t>& values) { return std::accumulate(values.begin(), values.end(), int64_t{0}); }

}  // namespace

RowKernels cpu_row_kernels() {
  return {[](const at::Tensor& table_ND, const at::Tensor& rows_U) { return at::index_select(table_ND, 0, rows_U); },
          [](const at::Tensor& values_PD, const at::Tensor& row_of_P, int64_t num_rows) {
            at::Tensor sums_MD = at::zeros({num_rows, values_PD.size(1)}, values_PD.options());
            const bool is_double = values_PD.scalar_type() == at::kDouble;
            TORCH_CHECK(is_double || values_PD.scalar_type() == at::kFloat, "row gradients are fp32 or fp64");
            is_double ? sum_rows<double>(sums_MD, values_PD, row_of_P) : sum_rows<float>(sums_MD, values_PD, row_of_P);
            return sums_MD;
          },
          unique_rows,
          [](const at::Tensor& out_ND, const at::Tensor& rows_K, const at::Tensor& source_KD) {
            out_ND.index_copy_(0, rows_K, source_KD);
          }};
}

RowExchange::RowExchange(Communicator& comm, int64_t num_rows, at::Device device, RowKernels kernels, Places places)
    : comm_(comm), num_rows_(num_rows), device_(device), kernels_(std::move(kernels)), places_(std::move(places)) {}

RowExchange::RowExchange(Communicator& comm, const RowLayout& layout, at::Device device, RowKernels kernels)
    : RowExchange(
          comm, layout.num_rows(), device, std::move(kernels),
          {[layout](int64_t row) { return layout.owner(row); }, [layout](int64_t row) { return layout.local(row); }}) {}

RowExchange::RowExchange(TwoLevels& levels, const RowLayout& layout, at::Device device, RowKernels kernels)
    : RowExchange(*levels.node, layout.num_rows(), device, kernels,
                  {[layout, L = levels.ranks_per_node()](int64_t row) { return layout.owner(row) % L; },
                   [](int64_t row) { return row; }}) {
  const Places on_rail{[layout, L = levels.ranks_per_node()](int64_t row) { return layout.owner(row) / L; },
                       [layout](int64_t row) { return layout.local(row); }};
  beyond_.reset(new RowExchange(*levels.rail, layout.num_rows(), device, std::move(kernels), on_rail));
}

Route RowExchange::route(std::span<const int32_t> rows_T, SortOn sort_on) {
  const auto distinct_of = [&](std::span<const int32_t> rows) {
    if (sort_on == SortOn::kDevice) return kernels_.unique(rows);
    UniqueRows out = unique_rows(rows);
    out.position_T = upload(out.position_T, device_);
    return out;
  };
  for (const int32_t row : rows_T) {
    TORCH_CHECK(row >= 0 && row < num_rows_, "row ", row, " is outside the table of ", num_rows_, " rows");
  }
  const UniqueRows wanted = distinct_of(rows_T);
  Route route;
  const std::vector<int64_t> place = order_by_owner(wanted.rows, places_.owner, comm_.world_size(), route.ask);
  const auto num_unique = static_cast<int64_t>(wanted.rows.size());
  route.unique_rows_U = at::empty({num_unique}, at::kLong);
  int64_t* unique = route.unique_rows_U.mutable_data_ptr<int64_t>();
  for (int64_t n = 0; n < num_unique; ++n) unique[place[n]] = wanted.rows[n];
  route.inverse_T = at::index_select(upload(to_tensor(place), device_), 0, wanted.position_T);

  const std::vector<int64_t> one_each(comm_.world_size(), 1);
  at::Tensor serve = at::empty({comm_.world_size()}, at::kLong);
  comm_.all_to_all(serve, to_tensor(route.ask), one_each, one_each)->wait();
  route.serve.assign(serve.const_data_ptr<int64_t>(), serve.const_data_ptr<int64_t>() + serve.numel());

  const int64_t num_served = sum(route.serve);
  at::Tensor served = at::empty({num_served}, at::kInt);
  comm_.all_to_all(served, route.unique_rows_U.to(at::kInt), route.serve, route.ask)->wait();
  std::vector<int32_t> local(num_served);
  const int32_t* asked = served.const_data_ptr<int32_t>();
  for (int64_t p = 0; p < num_served; ++p) local[p] = static_cast<int32_t>(places_.local(asked[p]));
  UniqueRows touched = comm_.world_size() == 1 ? all_of(local, device_) : distinct_of(local);
  route.served.assign(local.begin(), local.end());
  route.distinct = std::move(touched.rows);
  route.touched_of_served_P = touched.position_T;
  if (beyond_) {
    const std::vector<int32_t> rows(route.distinct.begin(), route.distinct.end());
    route.beyond = std::make_shared<const Route>(beyond_->route(rows, sort_on));
    route.served_local_P = route.beyond->served_local_P;
    route.touched_local_M = route.beyond->touched_local_M;
  } else {
    route.served_local_P = upload(to_tensor(route.served), device_);
    route.touched_local_M = upload(to_tensor(route.distinct), device_);
  }
  return route;
}

at::Tensor RowExchange::fetch(const Route& route, const at::Tensor& local_rows) {
  return hand_out(route, beyond_ ? served_in_node(route, beyond_->fetch(*route.beyond, local_rows))
                                 : kernels_.gather(local_rows, route.served_local_P));
}

at::Tensor RowExchange::served_in_node(const Route& route, const at::Tensor& rows_of_rail) {
  return kernels_.gather(rows_of_rail, at::index_select(route.beyond->inverse_T, 0, route.touched_of_served_P));
}

at::Tensor RowExchange::hand_out(const Route& route, const at::Tensor& served) {
  if (comm_.world_size() == 1) return served;
  at::Tensor out = empty_rows(served, route.unique_rows_U.numel());
  comm_.all_to_all(out, served, route.ask, route.serve)->wait();
  return out;
}

Arriving RowExchange::start_fetch(const Route& route, const at::Tensor& local_rows, const std::vector<int64_t>& busy) {
  if (beyond_) {
    Arriving of_rail;
    of_rail.beyond = std::make_unique<Arriving>(beyond_->start_fetch(*route.beyond, local_rows, busy));
    return of_rail;
  }
  at::Tensor late_P = at::empty({static_cast<int64_t>(route.served.size())}, at::kByte);
  auto* const late = late_P.mutable_data_ptr<uint8_t>();
  for (size_t p = 0; p < route.served.size(); ++p)
    late[p] = std::binary_search(busy.begin(), busy.end(), route.served[p]);
  at::Tensor late_U = at::empty({route.unique_rows_U.numel()}, at::kByte);
  comm_.all_to_all(late_U, late_P, route.ask, route.serve)->wait();

  std::vector<int64_t> places(static_cast<size_t>(late_U.numel()));
  std::iota(places.begin(), places.end(), int64_t{0});
  const auto part = [&](bool wanted) {
    const auto [asked, ask] = choose(places, late_U, wanted, route.ask);
    const auto [local, serve] = choose(route.served, late_P, wanted, route.serve);
    return Arriving::Part{upload(to_tensor(asked), device_), upload(to_tensor(local), device_), ask, serve};
  };
  const Arriving::Part now = part(false);
  Arriving out;
  out.late = part(true);
  out.rows_UD = empty_rows(local_rows, late_U.numel());
  out.early = empty_rows(local_rows, now.places.numel());
  out.early_places = now.places;
  out.served = kernels_.gather(local_rows, now.local_rows);
  out.work = comm_.all_to_all(out.early, out.served, now.ask, now.serve);
  return out;
}

at::Tensor RowExchange::finish_fetch(const Route& route, Arriving arriving, const at::Tensor& local_rows) {
  if (beyond_) {
    const at::Tensor rows_of_rail = beyond_->finish_fetch(*route.beyond, std::move(*arriving.beyond), local_rows);
    return hand_out(route, served_in_node(route, rows_of_rail));
  }
  arriving.work->wait();
  kernels_.scatter(arriving.rows_UD, arriving.early_places, arriving.early);
  const at::Tensor served = kernels_.gather(local_rows, arriving.late.local_rows);
  at::Tensor late = empty_rows(local_rows, arriving.late.places.numel());
  comm_.all_to_all(late, served, arriving.late.ask, arriving.late.serve)->wait();
  kernels_.scatter(arriving.rows_UD, arriving.late.places, late);
  return arriving.rows_UD;
}

Returning RowExchange::start_return(const Route& route, const at::Tensor& gradients_UD) {
  if (comm_.world_size() == 1) return {gradients_UD, gradients_UD, nullptr};
  Returning out{gradients_UD.contiguous(), empty_rows(gradients_UD, route.touched_of_served_P.numel()), nullptr};
  out.work = comm_.all_to_all(out.arrived_PD, out.sent_UD, route.serve, route.ask);
  return out;
}

GradientParts RowExchange::finish_return(const Route& route, Returning returning) {
  if (returning.work) returning.work->wait();
  GradientParts parts{returning.arrived_PD, returning.work ? route.touched_of_served_P : at::Tensor()};
  if (!beyond_) return parts;
  const at::Tensor sums_MD =  // of the node's ranks, in the order of route.distinct
      parts.row_of_P.defined()
          ? kernels_.sum(parts.values_PD, parts.row_of_P, static_cast<int64_t>(route.distinct.size()))
          : parts.values_PD;
  const at::Tensor asked_UD = at::empty_like(sums_MD);
  kernels_.scatter(asked_UD, route.beyond->inverse_T, sums_MD);
  return beyond_->finish_return(*route.beyond, beyond_->start_return(*route.beyond, asked_UD));
}

}  // namespace cllm
