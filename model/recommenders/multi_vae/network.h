#pragma once

// The layers of Multi-VAE that every rank holds alike; the first and the last weights are rows of items (MODELS.md §2).
// Letters: B users, H hidden, Z latent.

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace cllm {

class MultiVaeNetwork {
 public:
  /// b1 [H], W2 [H, 2Z] (means, then log variances), b2, W3 [Z, H], b3: weights Xavier uniform, biases truncated normal
  /// of deviation 0.001.
  MultiVaeNetwork(int64_t hidden, int64_t latent, at::ScalarType dtype, at::Device device, uint64_t key);

  struct Output {
    at::Tensor hidden_BH1;  // h' = tanh(z W3 + b3), and a 1 that meets the bias in the last row of an item
    at::Tensor kl;          // sum over users of KL(q(z|x) | N(0, 1))
  };
  /// `pre_BH` = x W1; z = mu + noise exp(logvar / 2).
  Output train(const at::Tensor& pre_BH, const at::Tensor& noise_BZ) const;

  /// hidden_BH1 for z = mu, in fp64: its rounding to the table's dtype does not depend on how users are put together.
  at::Tensor infer(const at::Tensor& pre_BH) const;

  using Named = std::vector<std::pair<std::string, at::Tensor>>;
  /// "b1", "w2", "b2", "w3", "b3": leaves with gradients.
  const Named& parameters() const { return parameters_; }
  int64_t hidden() const { return parameters_[0].second.size(0); }
  int64_t latent() const { return parameters_[3].second.size(0); }

 private:
  Named parameters_;
};

}  // namespace cllm
