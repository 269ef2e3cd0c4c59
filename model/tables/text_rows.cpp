#include "model/tables/text_rows.h"

#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/addmm.h>
#include <ATen/ops/diff.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/linalg_vector_norm.h>
#include <ATen/ops/mm.h>
#include <ATen/ops/repeat_interleave.h>

#include <optional>

namespace cllm {

TextRows::TextRows(Table vectors, at::Tensor map_dD, double bound, Covered covered)
    : vectors_(std::move(vectors)), map_dD_(std::move(map_dD)), bound_(bound), covered_(covered) {}

void TextRows::compose(Table& table, const at::Tensor& rows_M) const {
  const at::NoGradGuard no_grad;
  if (!table.composed.defined()) table.composed = at::empty_like(table.weight);
  table.composed.index_copy_(
      0, rows_M,
      at::addmm(table.weight.index_select(0, rows_M), vectors_.weight.index_select(0, rows_M), map_dD_.detach()));
}

void TextRows::compose(Table& table, int64_t first, int64_t count) const {
  const at::NoGradGuard no_grad;
  if (!table.composed.defined()) table.composed = at::empty_like(table.weight);
  at::Tensor out = table.composed.narrow(0, first, count);
  at::addmm_out(out, table.weight.narrow(0, first, count), vectors_.weight.narrow(0, first, count), map_dD_.detach());
}

/// W's gradient is the sum over the rows of t^T g, and g is a sum: so every part meets its row's t.
void TextRows::add_gradient(const kernels::RowGradient& gradient) {
  const at::NoGradGuard no_grad;
  TORCH_CHECK(!gradient.pull_M.defined(), "rows that are made of texts have no pull");
  at::Tensor rows_P = gradient.rows_M, parts_PD = gradient.parts_PD;
  if (gradient.segments) {
    const kernels::RowSegments& segments = *gradient.segments;
    const int64_t P = segments.order_T.size(0);
    rows_P = rows_P.index_select(
        0, at::repeat_interleave(at::diff(segments.offsets_M1), /*output_size=*/std::optional<int64_t>(P)));
    parts_PD = parts_PD.index_select(0, segments.order_T);
  }
  at::Tensor out_dD = at::mm(vectors_.weight.index_select(0, rows_P).t(), parts_PD);
  if (gradient.head_ID.defined()) {
    const int64_t I = gradient.head_ID.size(0);
    const at::Tensor rows_I = gradient.rows_M.narrow(0, gradient.rows_M.size(0) - I, I);
    out_dD.addmm_(vectors_.weight.index_select(0, rows_I).t(), gradient.head_ID);
  }
  at::Tensor& sum = map_dD_.mutable_grad();
  if (sum.defined()) {
    sum.add_(out_dD);
  } else {
    sum = out_dD;
  }
}

void TextRows::keep_within_bound(Table& table, const at::Tensor& rows_M) const {
  const at::NoGradGuard no_grad;
  const at::Tensor own_MD = table.weight.index_select(0, rows_M);
  const auto length = [](const at::Tensor& x) { return at::linalg_vector_norm(x, 2, at::IntArrayRef{1}, true); };
  const at::Tensor share_M1 = (bound_ / length(own_MD).clamp_min(1e-30)).clamp_max(1);
  const at::Tensor free_M1 = length(vectors_.weight.index_select(0, rows_M)) == 0;
  table.weight.index_copy_(0, rows_M, own_MD * share_M1.masked_fill(free_M1, 1));
}

}  // namespace cllm
