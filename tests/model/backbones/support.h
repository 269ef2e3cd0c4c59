#pragma once

#include <ATen/TensorOperators.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/index_select.h>

#include <cstdlib>
#include <string>

#include "data/random.h"
#include "model/backbones/backbone.h"
#include "model/nn/packed_layout.h"

namespace cllm::testing {

/// ../shared, where golden values and data are.
inline std::string shared_dir() {
  const char* given = std::getenv("CLLM_SHARED");
  return given != nullptr ? given : std::string(CLLM_SOURCE_DIR) + "/../shared";
}

/// max|a - b| / max(1e-3, max|b|): the gap of reference/README.md.
inline double relative_gap(const at::Tensor& a, const at::Tensor& b) {
  const at::Tensor difference = (a.to(at::kDouble) - b.to(at::kDouble)).abs();
  return difference.max().item<double>() / std::max(1e-3, b.to(at::kDouble).abs().max().item<double>());
}

/// Rows [rows, columns] that a right-padded mask [B, T] keeps, of a tensor [B, T, ...]: [sum, ...], sequence after
/// sequence.
inline at::Tensor pack(const at::Tensor& padded, const at::Tensor& mask_BT) {
  return padded.flatten(0, 1).index_select(0, mask_BT.flatten().nonzero().flatten());
}

inline std::vector<int64_t> lengths_of(const at::Tensor& mask_BT) {
  const at::Tensor sums = mask_BT.sum(1).to(at::kLong).contiguous();
  return {sums.const_data_ptr<int64_t>(), sums.const_data_ptr<int64_t>() + sums.numel()};
}

/// Random but fixed dropout keys.
inline at::Tensor dropout_keys(int64_t num_tokens, uint64_t seed) {
  at::Tensor keys = at::empty({num_tokens}, at::kLong);
  for (int64_t t = 0; t < num_tokens; ++t) {
    keys.mutable_data_ptr<int64_t>()[t] = static_cast<int64_t>(mix64(seed + static_cast<uint64_t>(t)));
  }
  return keys;
}

}  // namespace cllm::testing
