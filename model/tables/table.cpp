#include "model/tables/table.h"

#include <ATen/Parallel.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/from_blob.h>
#include <ATen/ops/zeros.h>

#include <cstdlib>
#include <new>

#include "data/random.h"
#include "dist/device/device.h"

namespace cllm {
namespace {

constexpr double kStartDeviation = 0.02;

template <typename T>
void fill_normal(Table& table, uint64_t seed, Side side) {
  T* const weight = table.weight.mutable_data_ptr<T>();
  const int64_t D = table.width();
  at::parallel_for(0, table.layout.num_local_rows(), 256, [&](int64_t begin, int64_t end) {
    for (int64_t local = begin; local < end; ++local) {
      const auto row = static_cast<uint64_t>(table.layout.global(local));
      CounterRng random(stream_key(seed, Purpose::kTableInit, static_cast<uint64_t>(side), row));
      for (int64_t d = 0; d < D; ++d) weight[local * D + d] = static_cast<T>(kStartDeviation * random.normal());
    }
  });
}

}  // namespace

at::Tensor Table::state_of(std::string_view name) const {
  for (const RowState& one : state) {
    if (one.name == name) return one.rows;
  }
  return {};
}

Table make_random_table(const RowLayout& layout, int64_t width, at::ScalarType dtype, uint64_t seed, Side side) {
  TORCH_CHECK(dtype == at::kFloat || dtype == at::kDouble, "tables are fp32 or fp64");
  Table table;
  table.layout = layout;
  table.weight = at::empty({layout.num_local_rows(), width}, dtype);
  table.rounding_seed = stream_key(seed, Purpose::kRounding, static_cast<uint64_t>(side));
  dtype == at::kFloat ? fill_normal<float>(table, seed, side) : fill_normal<double>(table, seed, side);
  return table;
}

void round_to_bf16(Table& table) {
  TORCH_CHECK(table.weight.scalar_type() == at::kFloat, "a table is rounded to bf16 from fp32");
  table.weight = table.weight.to(at::kBFloat16);
}

Table make_table(const RowLayout& layout, const at::Tensor& users_ID, const at::Tensor& items_JD) {
  TORCH_CHECK(users_ID.size(0) == layout.users().num_rows() && items_JD.size(0) == layout.items().num_rows(),
              "start values have ", users_ID.size(0), " users and ", items_JD.size(0), " items; the layout ",
              layout.users().num_rows(), " and ", layout.items().num_rows());
  Table table;
  table.layout = layout;
  table.weight = at::cat({users_ID.narrow(0, layout.users().begin(layout.rank()), layout.num_local_users()),
                          items_JD.narrow(0, layout.items().begin(layout.rank()), layout.num_local_items())});
  return table;
}

RowBytes bytes_of_rows(const Table& table) {
  RowBytes out;
  const auto add = [&](const at::Tensor& rows) {
    if (!rows.defined() || rows.size(0) == 0) return;
    const int64_t of_row = static_cast<int64_t>(rows.nbytes()) / rows.size(0);
    out.users += of_row * table.layout.num_local_users();
    out.items += of_row * table.layout.num_local_items();
  };
  add(table.weight);
  add(table.row_step);
  for (const RowState& state : table.state) add(state.rows);
  return out;
}

void move_table(Table& table, at::Device device, bool users_on_host) {
  table.users_on_host = users_on_host;
  if (!users_on_host) {
    table.weight = table.weight.to(device);
    return;
  }
  at::Tensor placed =
      zeros_with_rows_on_host(table.weight.sizes(), table.weight.scalar_type(), device, table.layout.num_local_users());
  placed.copy_(table.weight);
  table.weight = placed;
}

at::Tensor zeros_like_rows(const Table& table, at::IntArrayRef sizes, at::ScalarType dtype) {
  const at::Device device = table.weight.device();
  return table.users_on_host ? zeros_with_rows_on_host(sizes, dtype, device, table.layout.num_local_users())
                             : lazy_zeros(sizes, dtype, device);
}

at::Tensor lazy_zeros(at::IntArrayRef sizes, at::ScalarType dtype, at::Device device) {
  if (!device.is_cpu()) return at::zeros(sizes, at::TensorOptions().dtype(dtype).device(device));
  const auto count = static_cast<size_t>(c10::multiply_integers(sizes));
  void* const memory = std::calloc(count + 1, c10::elementSize(dtype));  // + 1: calloc(0) may return null
  if (memory == nullptr) throw std::bad_alloc();
  return at::from_blob(
      memory, sizes, [](void* p) { std::free(p); }, at::TensorOptions().dtype(dtype));
}

}  // namespace cllm
