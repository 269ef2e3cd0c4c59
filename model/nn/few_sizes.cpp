#include "model/nn/few_sizes.h"

#include <ATen/core/dispatch/Dispatcher.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/zeros.h>

#include <algorithm>
#include <bit>
#include <optional>

namespace cllm {
namespace {

constexpr int64_t kLongestFiller = 32;  // tokens of a sequence that nothing reads: attention costs their square

at::Tensor with_zeros(const at::Tensor& x, int64_t rows) {
  if (rows == 0) return x;
  std::vector<int64_t> sizes = x.sizes().vec();
  sizes[0] = rows;
  return at::cat({x, at::zeros(sizes, x.options())});
}

}  // namespace

int64_t few_sizes(int64_t n, int64_t least) {
  if (n == 0) return 0;
  const int64_t step = std::max(least, static_cast<int64_t>(std::bit_floor(static_cast<uint64_t>(n))) / 8);
  return (n + step - 1) / step * step;
}

bool cpu_has_bf16() {
  static const bool has = [] {
    using Signature = at::Tensor(const at::Tensor&, std::optional<int64_t>);
    const auto layout =
        c10::Dispatcher::singleton().findSchemaOrThrow("mkldnn::_reorder_linear_weight", "").typed<Signature>();
    try {
      layout.call(at::zeros({2, 2}, at::kBFloat16), std::nullopt);
      return true;
    } catch (const c10::Error&) {
      return false;
    }
  }();
  return has;
}

bool is_compiled_for_size(const at::Tensor& x, at::ScalarType dtype) {
  return x.is_cpu() && dtype == at::kBFloat16 && cpu_has_bf16();
}

at::Tensor filled_rows(const at::Tensor& x_TD) {
  const int64_t T = x_TD.size(0), filled = few_sizes(T);
  if (filled == T) return x_TD;
  at::Tensor out = at::empty({filled, x_TD.size(1)}, x_TD.options());
  out.narrow(0, 0, T).copy_(x_TD);
  out.narrow(0, T, filled - T).zero_();
  return out;
}

FilledBatch::FilledBatch(const at::Tensor& x, const PackedLayout& batch) : layout(batch) {
  const bool picks = batch.output_rows_A.defined();
  const int64_t T = x.size(0), A = picks ? batch.output_rows_A.size(0) : T;
  const int64_t outputs = picks ? few_sizes(A) : A;
  const int64_t filled = few_sizes(T + (outputs - A));  // a token for every output that nobody reads
  const int64_t longest = std::max<int64_t>(1, std::min(batch.longest, kLongestFiller));
  num_outputs = A;
  x_TD = with_zeros(x, filled - T);
  if (filled > T) {
    while (layout.offsets.back() < filled) layout.offsets.push_back(std::min(layout.offsets.back() + longest, filled));
    layout.longest = std::max(batch.longest, longest);
    layout.offsets_B1 = at::tensor(std::vector<int32_t>(layout.offsets.begin(), layout.offsets.end()), at::kInt);
    layout.positions_T =
        at::cat({batch.positions_T, at::arange(filled - T, batch.positions_T.options()).remainder(longest)});
    if (batch.dropout_keys_T.defined()) layout.dropout_keys_T = with_zeros(batch.dropout_keys_T, filled - T);
  }
  if (outputs > A) {
    layout.output_rows_A =
        at::cat({batch.output_rows_A, at::arange(T, T + outputs - A, batch.output_rows_A.options())});
  }
}

}  // namespace cllm
