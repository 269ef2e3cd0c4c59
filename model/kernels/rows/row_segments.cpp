#include "model/kernels/rows/row_segments.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/minimum.h>
#include <ATen/ops/searchsorted.h>
#include <ATen/ops/sort.h>
#include <ATen/ops/where.h>
#include <ATen/ops/zeros.h>
#include <ATen/ops/zeros_like.h>

#include <algorithm>
#include <tuple>

namespace cllm::kernels {
namespace {

/// [n] counts -> [n+1] offsets.
at::Tensor offsets_of(const at::Tensor& counts) {
  return at::cat({at::zeros({1}, counts.options()), counts.cumsum(0)});
}

}  // namespace

// No size depends on what is in row_of_T, so nobody waits for a device to tell it.
RowSegments group_by_row(const at::Tensor& row_of_T, int64_t num_rows) {
  constexpr int64_t kPiece = RowSegments::kLongRow;
  const int64_t T = row_of_T.size(0),
                most_pieces = T > kPiece ? 2 * T / kPiece : 0;  // c > kPiece make at most 2 c / kPiece of them
  RowSegments out;
  at::Tensor sorted_T;
  std::tie(sorted_T, out.order_T) = at::sort(row_of_T, /*stable=*/true, 0, /*descending=*/false);
  out.offsets_M1 = at::searchsorted(sorted_T, at::arange(num_rows + 1, row_of_T.options()));

  const at::Tensor counts_M = out.offsets_M1.diff();
  const at::Tensor pieces_M =
      at::where(counts_M > kPiece, (counts_M + (kPiece - 1)).floor_divide(kPiece), at::zeros_like(counts_M));
  out.piece_offsets_M1 = offsets_of(pieces_M);
  const at::Tensor nth_P = at::arange(most_pieces, row_of_T.options());
  const at::Tensor
      behind_P =  // the number of rows whose pieces are all before this one: its row, or num_rows behind the last piece
      at::searchsorted(out.piece_offsets_M1.narrow(0, 1, num_rows), nth_P, /*out_int32=*/false, /*right=*/true);
  const at::Tensor row_of_P = behind_P.clamp_max(std::max<int64_t>(num_rows - 1, 0));
  const at::Tensor end_P = out.offsets_M1.index_select(0, row_of_P + 1);
  const at::Tensor first_P =
      out.offsets_M1.index_select(0, row_of_P) + (nth_P - out.piece_offsets_M1.index_select(0, row_of_P)) * kPiece;
  out.piece_begin_P = at::where(behind_P < num_rows, first_P, end_P);
  out.piece_end_P = at::minimum(out.piece_begin_P + kPiece, end_P);
  return out;
}

}  // namespace cllm::kernels
