#include "model/losses/pairs.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/cumsum.h>
#include <ATen/ops/diff.h>
#include <ATen/ops/logical_and.h>
#include <ATen/ops/repeat_interleave.h>
#include <ATen/ops/searchsorted.h>
#include <ATen/ops/sort.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/where.h>
#include <ATen/ops/zeros_like.h>

#include <optional>
#include <tuple>

namespace cllm {
namespace {

/// For every position the items from `first_A` of its history on, `count_A` of them.
Pairs items_of_positions(const HistoryTensors& h, const at::Tensor& first_A, const at::Tensor& count_A) {
  const int64_t P = count_A.sum().item<int64_t>();
  const at::Tensor position_P = at::repeat_interleave(count_A, /*output_size=*/std::optional(P));
  const at::Tensor before_A = at::cumsum(count_A, 0) - count_A;
  const at::Tensor start_A = h.offsets_B1.index_select(0, h.sequence_A) + first_A;
  const at::Tensor place_P = at::arange(P, at::kLong) + (start_A - before_A).index_select(0, position_P);
  return {position_P, h.items_M.index_select(0, place_P), {}};
}

/// The rests of the histories that are predicted.
Pairs rest_of_histories(const HistoryTensors& h) {
  const at::Tensor length_A = at::diff(h.offsets_B1).index_select(0, h.sequence_A);
  const at::Tensor rest_A = at::where(h.rest_weight_A > 0, length_A - h.shown_A, 0);
  Pairs out = items_of_positions(h, h.shown_A, rest_A);
  out.weight_P = (h.rest_weight_A / rest_A).index_select(0, out.position_P);
  return out;
}

}  // namespace

Pairs Pairs::select(const at::Tensor& index) const {
  return {position_P.index_select(0, index), row_P.index_select(0, index),
          weight_P.defined() ? weight_P.index_select(0, index) : weight_P};
}

Pairs Pairs::of_rows(int64_t first, int64_t last) const {
  Pairs out = select(at::logical_and(row_P >= first, row_P < last).nonzero().squeeze(1));
  out.row_P = out.row_P - first;
  return out;
}

Pairs Pairs::within(Range positions, Range rows) const {
  const at::Tensor ends = at::searchsorted(
      position_P, at::tensor({positions.first, positions.first + positions.count}, position_P.options()));
  const int64_t first = ends[0].item<int64_t>(), count = ends[1].item<int64_t>() - first;
  const Pairs some{position_P.narrow(0, first, count) - positions.first, row_P.narrow(0, first, count),
                   weight_P.defined() ? weight_P.narrow(0, first, count) : weight_P};
  return some.of_rows(rows.first, rows.first + rows.count);
}

Pairs Pairs::to(at::Device device) const {
  return {position_P.to(device), row_P.to(device), weight_P.defined() ? weight_P.to(device) : weight_P};
}

Pairs shown_items(const HistoryTensors& h) { return items_of_positions(h, at::zeros_like(h.shown_A), h.shown_A); }

Pairs all_targets(const FlatTargets& listed, const HistoryTensors& h) {
  const Pairs rest = rest_of_histories(h).to(listed.row_K.device());
  Pairs out{at::cat({listed.position_K, rest.position_P}), at::cat({listed.row_K, rest.row_P}),
            at::cat({listed.weight_K, rest.weight_P})};
  if (listed.row_K.size(0) == 0 || rest.row_P.size(0) == 0) return out;
  return out.select(std::get<1>(at::sort(out.position_P, /*stable=*/std::optional<bool>(true))));
}

}  // namespace cllm
