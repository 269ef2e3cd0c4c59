#include "model/step/mean_of_rows.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/zeros.h>

#include <vector>

#include "model/nn/dropout.h"

namespace cllm {
namespace {

constexpr uint64_t kSalt = 1ULL << 33;  // beyond the places of backbones and of their adapters

/// One sequence at a time: sums do not depend on what is packed together.
at::Tensor running_sums(const at::Tensor& x_TD, const PackedLayout& layout) {
  std::vector<at::Tensor> parts;
  for (size_t b = 1; b < layout.offsets.size(); ++b) {
    const int64_t begin = layout.offsets[b - 1];
    parts.push_back(x_TD.narrow(0, begin, layout.offsets[b] - begin).cumsum(0));
  }
  return at::cat(parts);
}

}  // namespace

at::Tensor mean_of_rows(const TokenSources& tokens, const PackedLayout& layout, const at::Tensor& x_TD,
                        double dropout) {
  const at::Tensor is_row_T1 =
      at::zeros({x_TD.size(0), 1}, x_TD.options().requires_grad(false)).index_fill_(0, tokens.row_positions, 1);
  const at::Tensor kept_TD =
      cllm::dropout(x_TD * is_row_T1, {.keys_T = layout.dropout_keys_T, .rate = dropout, .salt = kSalt});
  const at::Tensor mean_TD = running_sums(kept_TD, layout) / running_sums(is_row_T1, layout).clamp_min(1);
  return layout.output_rows_A.defined() ? mean_TD.index_select(0, layout.output_rows_A) : mean_TD;
}

}  // namespace cllm
