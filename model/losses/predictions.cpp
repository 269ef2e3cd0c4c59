#include "model/losses/predictions.h"

#include <ATen/ops/cat.h>
#include <ATen/ops/tensor.h>

#include <algorithm>
#include <cmath>

#include "dist/device/device.h"
#include "model/losses/sampled_softmax.h"
#include "model/losses/soft_softmax.h"

namespace cllm {

HiddenResult ItemPrediction::value_and_gradients(const HiddenInput& input) {
  const HeadResult head = item_softmax(comm_, items_, form_, input.hidden_AD, input.items_JD, input.targets);
  return {.loss = head.loss, .hidden_gradient_AD = head.hidden_gradient, .item_gradient_JD = head.weight_gradient};
}

HiddenResult SoftItemPrediction::value_and_gradients(const HiddenInput& input) {
  const HeadResult head =
      soft_item_softmax(comm_, items_, input.hidden_AD, input.items_JD, input.targets, histories_, objective_);
  return {.loss = head.loss, .hidden_gradient_AD = head.hidden_gradient, .item_gradient_JD = head.weight_gradient};
}

SampledPrediction::SampledPrediction(int64_t num_items, int64_t first_row, const std::vector<int32_t>& target_items,
                                     int64_t num_negatives, uint64_t key)
    : num_items_(num_items), first_row_(first_row), negatives_(draw_negatives(num_items, num_negatives, key)),
      targets_(target_items) {}

std::vector<int32_t> SampledPrediction::rows() const {
  std::vector<int32_t> out;
  out.reserve(negatives_.size() + targets_.size());
  for (const int32_t item : negatives_) out.push_back(static_cast<int32_t>(first_row_) + item);
  for (const int32_t item : targets_) out.push_back(static_cast<int32_t>(first_row_) + item);
  return out;
}

HiddenResult SampledPrediction::value_and_gradients(const HiddenInput& input) {
  const auto S = static_cast<int64_t>(negatives_.size()), K = static_cast<int64_t>(targets_.size());
  const std::vector<int64_t> items(negatives_.begin(), negatives_.end());
  const SampledRows rows{upload(at::tensor(items, at::kLong), input.hidden_AD.device()), input.asked_KD.narrow(0, 0, S),
                         input.asked_KD.narrow(0, S, K),
                         std::log(static_cast<double>(S) / static_cast<double>(num_items_))};
  const SampledResult result = sampled_softmax(input.hidden_AD, rows, input.targets);
  return {.loss = result.loss,
          .hidden_gradient_AD = result.hidden_gradient,
          .asked_gradient_KD = at::cat({result.negative_gradient, result.target_gradient})};
}

HiddenResult MappedPrediction::value_and_gradients(const HiddenInput& input) {
  const at::Tensor hidden_AD = logits_.of_hidden(input.hidden_AD), asked_KD = logits_.of_rows(input.asked_KD);
  HiddenResult out = inner_->value_and_gradients(
      {hidden_AD, input.targets, asked_KD, reads_items() ? logits_.of_rows(input.items_JD) : input.items_JD});
  const auto of_rows = [&](const at::Tensor& rows, at::Tensor& gradient) {
    if (gradient.defined()) gradient = logits_.rows_gradient(rows, gradient);
  };
  out.hidden_gradient_AD = logits_.hidden_gradient(input.hidden_AD, out.hidden_gradient_AD);
  of_rows(input.asked_KD, out.asked_gradient_KD);
  of_rows(input.items_JD, out.item_gradient_JD);
  return out;
}

HiddenResult TextPrediction::value_and_gradients(const HiddenInput& input) {
  const HeadResult head = text_softmax(input.hidden_AD, words_ND_, input.targets, trained_);
  return {.loss = head.loss, .hidden_gradient_AD = head.hidden_gradient, .word_gradient_ND = head.weight_gradient};
}

}  // namespace cllm
