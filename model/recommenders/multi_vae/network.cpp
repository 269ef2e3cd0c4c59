#include "model/recommenders/multi_vae/network.h"

#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/addmm.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/exp.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/tanh.h>

#include "data/random.h"
#include "model/tables/start_values.h"

namespace cllm {
namespace {

constexpr double kBiasDeviation = 0.001;

/// The places of the parameters in the list.
enum Place : size_t { kB1, kW2, kB2, kW3, kB3 };

/// h' with the 1 of the bias.
at::Tensor decode(const at::Tensor& z_BZ, const at::Tensor& w3, const at::Tensor& b3) {
  const at::Tensor hidden_BH = at::tanh(at::addmm(b3, z_BZ, w3));
  return at::cat({hidden_BH, at::ones({hidden_BH.size(0), 1}, hidden_BH.options())}, 1);
}

}  // namespace

MultiVaeNetwork::MultiVaeNetwork(int64_t hidden, int64_t latent, at::ScalarType dtype, at::Device device,
                                 uint64_t key) {
  const auto add = [&](const char* name, const at::Tensor& start) {
    parameters_.emplace_back(name, start.to(device).requires_grad_(true));
  };
  const auto stream = [&](Place place) { return stream_key(key, Purpose::kDenseInit, place); };
  const auto bias = [&](const char* name, int64_t width, Place place) {
    add(name, drawn_rows(1, width, dtype, stream(place), truncated_normal(kBiasDeviation)).squeeze(0));
  };
  bias("b1", hidden, kB1);
  add("w2", drawn_rows(hidden, 2 * latent, dtype, stream(kW2), xavier_uniform(hidden, 2 * latent)));
  bias("b2", 2 * latent, kB2);
  add("w3", drawn_rows(latent, hidden, dtype, stream(kW3), xavier_uniform(latent, hidden)));
  bias("b3", hidden, kB3);
}

MultiVaeNetwork::Output MultiVaeNetwork::train(const at::Tensor& pre_BH, const at::Tensor& noise_BZ) const {
  const auto p = [&](Place place) { return parameters_[place].second; };
  const int64_t Z = latent();
  const at::Tensor code = at::addmm(p(kB2), at::tanh(pre_BH + p(kB1)), p(kW2));
  const at::Tensor mu_BZ = code.narrow(1, 0, Z), logvar_BZ = code.narrow(1, Z, Z);
  const at::Tensor z_BZ = mu_BZ + noise_BZ * at::exp(logvar_BZ * 0.5);
  const at::Tensor kl = (mu_BZ * mu_BZ + at::exp(logvar_BZ) - logvar_BZ - 1).sum(at::kDouble) * 0.5;
  return {decode(z_BZ, p(kW3), p(kB3)), kl};
}

at::Tensor MultiVaeNetwork::infer(const at::Tensor& pre_BH) const {
  const at::NoGradGuard no_grad;
  const auto p = [&](Place place) { return parameters_[place].second.to(at::kDouble); };
  const int64_t Z = latent();
  const at::Tensor hidden_BH = at::tanh(pre_BH.to(at::kDouble) + p(kB1));
  const at::Tensor mu_BZ = at::addmm(p(kB2).narrow(0, 0, Z), hidden_BH, p(kW2).narrow(1, 0, Z));
  return decode(mu_BZ, p(kW3), p(kB3));
}

}  // namespace cllm
