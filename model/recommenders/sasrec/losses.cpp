#include "model/recommenders/sasrec/losses.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/bmm.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/index_copy.h>
#include <ATen/ops/log_softmax.h>
#include <ATen/ops/mm.h>
#include <ATen/ops/softplus.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/zeros.h>

#include <algorithm>

#include "dist/device/device.h"

namespace cllm {

at::Tensor bce_loss(const at::Tensor& hidden_TD, const at::Tensor& positives_TD, const at::Tensor& negatives_TD) {
  const at::Tensor positive_T = (hidden_TD * positives_TD).sum(1), negative_T = (hidden_TD * negatives_TD).sum(1);
  return (at::softplus(-positive_T) + at::softplus(negative_T)).sum(at::kDouble);
}

at::Tensor negative_scores(const at::Tensor& hidden_TD, const at::Tensor& negatives_GkD,
                           const std::vector<int64_t>& lengths) {
  const auto G = static_cast<int64_t>(lengths.size());
  if (G == 1) return at::mm(hidden_TD, negatives_GkD.t());
  const int64_t D = hidden_TD.size(1), k = negatives_GkD.size(0) / std::max<int64_t>(1, G);
  const int64_t longest = G == 0 ? 0 : *std::ranges::max_element(lengths);
  std::vector<int64_t> places;  // of the positions among those of padded groups
  for (int64_t n = 0; n < G; ++n) {
    for (int64_t i = 0; i < lengths[static_cast<size_t>(n)]; ++i) places.push_back(n * longest + i);
  }
  const at::Tensor place_T = upload(at::tensor(places, at::kLong), hidden_TD.device());
  const at::Tensor padded =
      at::zeros({G * longest, D}, hidden_TD.options()).index_copy(0, place_T, hidden_TD).view({G, longest, D});
  return at::bmm(padded, negatives_GkD.view({G, k, D}).transpose(1, 2)).view({G * longest, k}).index_select(0, place_T);
}

at::Tensor gbce_loss(const at::Tensor& positive_T, const at::Tensor& negative_Tk, double beta) {
  const auto k = static_cast<double>(negative_Tk.size(1));
  return (at::softplus(-positive_T) * beta + at::softplus(negative_Tk).sum(1)).sum(at::kDouble) / (k + 1);
}

at::Tensor sampled_loss(const at::Tensor& positive_T, const at::Tensor& negative_Tk, const at::Tensor& hit_Tk) {
  constexpr double kNoScore = -1e30;  // its exponential is 0, and it is no infinity
  const at::Tensor all = at::cat({positive_T.unsqueeze(1), negative_Tk.masked_fill(hit_Tk, kNoScore)}, 1);
  return -at::log_softmax(all, 1).select(1, 0).sum(at::kDouble);
}

}  // namespace cllm
