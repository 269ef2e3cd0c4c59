#include "model/tables/start_values.h"

#include <ATen/Parallel.h>
#include <ATen/ops/empty.h>

#include <cmath>

namespace cllm {
namespace {

/// The rows of a tensor of `count` rows; row_number(n) is the number by which row n is drawn.
template <class RowNumber>
at::Tensor draw_all(int64_t count, int64_t columns, at::ScalarType dtype, uint64_t key, const Draw& draw,
                    RowNumber&& row_number) {
  at::Tensor out = at::empty({count, columns}, at::kDouble);
  double* const value = out.mutable_data_ptr<double>();
  at::parallel_for(0, count, 64, [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row) {
      CounterRng random(stream_key(key, Purpose::kDenseInit, static_cast<uint64_t>(row_number(row))));
      for (int64_t column = 0; column < columns; ++column) value[row * columns + column] = draw(random, column);
    }
  });
  return out.to(dtype);
}

}  // namespace

Table make_drawn_table(const RowLayout& layout, int64_t width, at::ScalarType dtype, uint64_t key, const Draw& draw) {
  Table table;
  table.layout = layout;
  table.rounding_seed = stream_key(key, Purpose::kRounding);
  table.weight =
      draw_all(layout.num_local_rows(), width, dtype, key, draw, [&](int64_t local) { return layout.global(local); });
  return table;
}

at::Tensor drawn_rows(int64_t rows, int64_t columns, at::ScalarType dtype, uint64_t key, const Draw& draw) {
  return draw_all(rows, columns, dtype, key, draw, [](int64_t row) { return row; });
}

Draw xavier_uniform(int64_t fan_in, int64_t fan_out) {
  return uniform(std::sqrt(6.0 / static_cast<double>(fan_in + fan_out)));
}

Draw xavier_normal(int64_t fan_in, int64_t fan_out) {
  const double deviation = std::sqrt(2.0 / static_cast<double>(fan_in + fan_out));
  return [deviation](CounterRng& random, int64_t) { return deviation * random.normal(); };
}

Draw uniform(double bound) {
  return [bound](CounterRng& random, int64_t) { return bound * (2 * random.uniform() - 1); };
}

Draw truncated_normal(double deviation) {
  return [deviation](CounterRng& random, int64_t) {
    double value = random.normal();
    while (std::abs(value) > 2) value = random.normal();
    return deviation * value;
  };
}

}  // namespace cllm
