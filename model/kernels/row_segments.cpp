#include "model/kernels/row_segments.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/bincount.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/minimum.h>
#include <ATen/ops/repeat_interleave.h>
#include <ATen/ops/sort.h>
#include <ATen/ops/where.h>
#include <ATen/ops/zeros.h>
#include <ATen/ops/zeros_like.h>

namespace cllm::kernels {
namespace {

/// [n] counts -> [n+1] offsets.
at::Tensor offsets_of(const at::Tensor& counts) { return at::cat({at::zeros({1}, counts.options()), counts.cumsum(0)}); }

}  // namespace

RowSegments group_by_row(const at::Tensor& row_of_T, int64_t num_rows) {
  RowSegments out;
  out.order_T = std::get<1>(at::sort(row_of_T, /*stable=*/true, 0, /*descending=*/false));
  const at::Tensor counts_M = at::bincount(row_of_T, {}, num_rows);
  out.offsets_M1 = offsets_of(counts_M);

  constexpr int64_t kPiece = RowSegments::kLongRow;
  const at::Tensor pieces_M =
      at::where(counts_M > kPiece, (counts_M + (kPiece - 1)).floor_divide(kPiece), at::zeros_like(counts_M));
  out.piece_offsets_M1 = offsets_of(pieces_M);
  const at::Tensor row_of_P = at::repeat_interleave(pieces_M);
  const at::Tensor nth_P = at::arange(row_of_P.size(0), row_of_T.options()) - out.piece_offsets_M1.index_select(0, row_of_P);
  out.piece_begin_P = out.offsets_M1.index_select(0, row_of_P) + nth_P * kPiece;
  out.piece_end_P = at::minimum(out.piece_begin_P + kPiece, out.offsets_M1.index_select(0, row_of_P + 1));
  return out;
}

}  // namespace cllm::kernels
