#include "model/losses/loss_term.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/searchsorted.h>
#include <ATen/ops/zeros.h>
#include <ATen/ops/zeros_like.h>

#include <algorithm>

namespace cllm {
namespace {

/// sum += weight * part; either may be undefined.
void add_to(at::Tensor& sum, double weight, const at::Tensor& part) {
  if (!part.defined()) return;
  const at::Tensor weighted = weight == 1 ? part : part * weight;
  sum = sum.defined() ? sum + weighted : weighted;
}

}  // namespace

std::vector<std::string_view> HiddenTerms::names() const {
  std::vector<std::string_view> out;
  for (const Weighted& one : terms_) out.push_back(one.term->name());
  return out;
}

std::vector<int32_t> HiddenTerms::rows() const {
  std::vector<int32_t> out;
  for (const Weighted& one : terms_) {
    const std::vector<int32_t> rows = one.term->rows();
    out.insert(out.end(), rows.begin(), rows.end());
  }
  return out;
}

bool HiddenTerms::reads_items() const {
  return std::ranges::any_of(terms_, [](const Weighted& one) { return one.term->reads_items(); });
}

HiddenTerms::Result HiddenTerms::value_and_gradients(const at::Tensor& hidden_AD, const Targets& targets,
                                                     const at::Tensor& asked_KD, const at::Tensor& items_JD) const {
  Result out;
  std::vector<at::Tensor> asked_gradients;
  int64_t first = 0;
  for (const Weighted& one : terms_) {
    const auto count = static_cast<int64_t>(one.term->rows().size());
    const at::Tensor asked = asked_KD.narrow(0, first, count);
    first += count;
    const HiddenResult result = one.term->value_and_gradients({hidden_AD, targets, asked, items_JD});
    out.values.push_back(result.loss);
    out.sum.loss += one.weight * result.loss;
    add_to(out.sum.hidden_gradient_AD, one.weight, result.hidden_gradient_AD);
    add_to(out.sum.item_gradient_JD, one.weight, result.item_gradient_JD);
    add_to(out.sum.word_gradient_ND, one.weight, result.word_gradient_ND);
    if (count == 0) continue;
    at::Tensor of_asked;
    add_to(of_asked, one.weight, result.asked_gradient_KD);
    asked_gradients.push_back(of_asked.defined() ? of_asked : at::zeros_like(asked));
  }
  if (!asked_gradients.empty())
    out.sum.asked_gradient_KD = asked_gradients.size() == 1 ? asked_gradients[0] : at::cat(asked_gradients);
  return out;
}

void add_pull(const RowPull& pull, kernels::RowGradient& gradient) {
  if (!pull.rows_C.defined()) return;
  const at::Tensor& rows_M = gradient.rows_M;
  const at::Tensor at_C = at::searchsorted(rows_M, pull.rows_C);
  const at::Tensor pull_C = pull.factors_C.to(gradient.parts_PD.scalar_type());
  gradient.pull_M = at::zeros({rows_M.size(0)}, pull_C.options()).index_copy_(0, at_C, pull_C);
  gradient.fixed_ND = pull.fixed_ND;
}

}  // namespace cllm
