#include "model/losses/words/listed_softmax.h"

#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/zeros.h>

#include <algorithm>
#include <cmath>
#include <optional>

#include "dist/device/device.h"
#include "model/kernels/compute_dtype.h"
#include "model/kernels/softmax/softmax_block.h"
#include "model/losses/blocked_softmax.h"

namespace cllm {
namespace {

/// Places of the listed words in the lists and in the head, on the device.
struct Places {
  at::Tensor position_K, id_K;

  Places(const ListedWords& words, at::Device device) {
    std::vector<int64_t> positions;
    positions.reserve(words.ids.size());
    for (size_t a = 0; a + 1 < words.offsets.size(); ++a)
      positions.insert(positions.end(), static_cast<size_t>(words.offsets[a + 1] - words.offsets[a]),
                       static_cast<int64_t>(a));
    position_K = upload(at::tensor(positions, at::kLong), device);
    id_K = upload(at::tensor(words.ids, at::kLong), device);
  }
};

at::Tensor tempered(const at::Tensor& hidden_AD, double temperature) {
  return temperature == 1 ? hidden_AD : hidden_AD / temperature;
}

std::vector<double> on_host(const at::Tensor& value_K) {
  const at::Tensor host = value_K.to(at::kCPU, at::kDouble).contiguous();
  const auto* const first = host.const_data_ptr<double>();
  return {first, first + host.numel()};
}

std::vector<double> logits_of(const at::Tensor& hidden_AD, const at::Tensor& words_ND, const Places& places) {
  return on_host(kernels::row_dots(hidden_AD.contiguous(), places.position_K, words_ND, places.id_K));
}

/// ln sum of e^(value + log of its factor); the factors are 1 if there are none. -infinity without words.
double log_sum(const double* values, const double* factors, int64_t count) {
  double top = -INFINITY, sum = 0;
  for (int64_t k = 0; k < count; ++k) {
    if (factors == nullptr || factors[k] > 0) top = std::max(top, values[k]);
  }
  if (top == -INFINITY) return top;
  for (int64_t k = 0; k < count; ++k) sum += (factors == nullptr ? 1 : factors[k]) * std::exp(values[k] - top);
  return top + std::log(sum);
}

/// What pulls the listed words up: q or y; and what the loss has beside ln Z, sum over positions of weight * value.
struct Pull {
  std::vector<double> of_word;  // [K]
  std::vector<double> value;    // [A] ln sum y e^logit, or sum y logit
};

Pull pull_of(const ListedLabels& labels, const std::vector<double>& logits, SoftForm form) {
  Pull out{labels.labels, std::vector<double>(labels.weights.size())};
  for (size_t a = 0; a < labels.weights.size(); ++a) {
    const int64_t first = labels.words.offsets[a], count = labels.words.offsets[a + 1] - first;
    const double *const y = labels.labels.data() + first, *const l = logits.data() + first;
    if (form == SoftForm::kCrossEntropy) {
      for (int64_t k = 0; k < count; ++k) out.value[a] += y[k] > 0 ? y[k] * l[k] : 0;
      continue;
    }
    out.value[a] = log_sum(l, y, count);
    for (int64_t k = 0; k < count; ++k)
      out.of_word[static_cast<size_t>(first + k)] = y[k] > 0 ? y[k] * std::exp(l[k] - out.value[a]) : 0;
  }
  return out;
}

/// Over all words: text_softmax with the pull as targets. Its loss has sum q logit where this one has ln sum y e^logit.
HeadResult over_all(const at::Tensor& hidden_AD, const at::Tensor& words_ND, const ListedLabels& labels,
                    const std::vector<double>& logits, const Pull& pull, bool want_weight_gradient) {
  std::vector<double> weights(labels.labels.size());
  double change = 0;
  for (size_t a = 0; a < labels.weights.size(); ++a) {
    double mean = 0;
    for (auto k = static_cast<size_t>(labels.words.offsets[a]); k < static_cast<size_t>(labels.words.offsets[a + 1]);
         ++k) {
      weights[k] = labels.weights[a] * pull.of_word[k];
      mean += pull.of_word[k] > 0 ? pull.of_word[k] * logits[k] : 0;
    }
    change += labels.weights[a] * (mean - pull.value[a]);
  }
  const at::Device device = hidden_AD.device();
  const Targets targets{upload(at::tensor(labels.words.offsets, at::kLong), device),
                        upload(at::tensor(labels.words.ids, at::kLong), device),
                        upload(at::tensor(weights, at::kDouble), device)};
  HeadResult out = text_softmax(hidden_AD, words_ND, targets, want_weight_gradient);
  out.loss += change;
  return out;
}

/// Over the listed words alone.
HeadResult over_listed(const at::Tensor& hidden_AD, const at::Tensor& words_ND, const ListedLabels& labels,
                       const std::vector<double>& logits, const Pull& pull, const Places& places,
                       bool want_weight_gradient) {
  HeadResult out;
  std::vector<double> gradients(logits.size());
  for (size_t a = 0; a < labels.weights.size(); ++a) {
    const int64_t first = labels.words.offsets[a], count = labels.words.offsets[a + 1] - first;
    const double log_z = log_sum(logits.data() + first, nullptr, count);
    out.loss += labels.weights[a] * (log_z - pull.value[a]);
    for (auto k = static_cast<size_t>(first); k < static_cast<size_t>(first + count); ++k)
      gradients[k] = labels.weights[a] * (std::exp(logits[k] - log_z) - pull.of_word[k]);
  }
  const at::TensorOptions sums = hidden_AD.options().dtype(residual_dtype(hidden_AD.scalar_type()));
  const at::Tensor gradient_K =
      upload(at::tensor(gradients, at::kDouble).to(residual_dtype(hidden_AD.scalar_type())), hidden_AD.device());
  at::Tensor hidden_gradient = at::zeros(hidden_AD.sizes(), sums);
  kernels::add_scaled_rows(hidden_gradient, places.position_K, {words_ND, places.id_K, gradient_K});
  out.hidden_gradient = hidden_gradient.to(hidden_AD.scalar_type());
  if (!want_weight_gradient) return out;
  out.weight_gradient = at::zeros(words_ND.sizes(), sums);
  kernels::add_scaled_rows(out.weight_gradient, places.id_K, {hidden_AD.contiguous(), places.position_K, gradient_K});
  return out;
}

}  // namespace

HeadResult listed_softmax(const at::Tensor& hidden_AD, const at::Tensor& words_ND, const ListedLabels& labels,
                          const ListedSoftmax& softmax, bool want_weight_gradient) {
  const at::NoGradGuard no_grad;
  const at::Tensor scaled_AD = tempered(hidden_AD, softmax.temperature);
  const Places places(labels.words, hidden_AD.device());
  const std::vector<double> logits = logits_of(scaled_AD, words_ND, places);
  const Pull pull = pull_of(labels, logits, softmax.form);
  HeadResult out = softmax.restricted
                       ? over_listed(scaled_AD, words_ND, labels, logits, pull, places, want_weight_gradient)
                       : over_all(scaled_AD, words_ND, labels, logits, pull, want_weight_gradient);
  if (softmax.temperature != 1) out.hidden_gradient = out.hidden_gradient / softmax.temperature;
  return out;
}

std::vector<double> listed_log_probabilities(const at::Tensor& hidden_AD, const at::Tensor& words_ND,
                                             const ListedWords& words, const ListedSoftmax& softmax) {
  const at::NoGradGuard no_grad;
  const at::Tensor scaled_AD = tempered(hidden_AD, softmax.temperature);
  std::vector<double> out = logits_of(scaled_AD, words_ND, Places(words, hidden_AD.device()));
  std::vector<double> log_z;
  if (!softmax.restricted) {
    const BlockedSoftmax head(scaled_AD, words_ND, /*want_weight_gradient=*/false, std::nullopt);
    at::Tensor log_z_A = at::empty({scaled_AD.size(0)}, scaled_AD.options().dtype(at::kDouble));
    head.for_each_block([&](Range positions) { positions.of(log_z_A).copy_(head.log_sum_exp(positions)); });
    log_z = on_host(log_z_A);
  }
  for (size_t a = 0; a + 1 < words.offsets.size(); ++a) {
    const int64_t first = words.offsets[a], count = words.offsets[a + 1] - first;
    const double of_a = softmax.restricted ? log_sum(out.data() + first, nullptr, count) : log_z[a];
    for (auto k = static_cast<size_t>(first); k < static_cast<size_t>(first + count); ++k) out[k] -= of_a;
  }
  return out;
}

}  // namespace cllm
