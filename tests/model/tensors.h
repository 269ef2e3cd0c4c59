#pragma once

#include <ATen/TensorOperators.h>
#include <ATen/ops/empty.h>

#include "data/random.h"

namespace cllm::testing {

/// Standard normal numbers, the same for the same key.
inline at::Tensor normal(at::IntArrayRef sizes, uint64_t key) {
  CounterRng random(key);
  at::Tensor out = at::empty(sizes, at::kDouble);
  for (int64_t n = 0; n < out.numel(); ++n) out.mutable_data_ptr<double>()[n] = random.normal();
  return out;
}

/// max|a - b|; 0 if they have no elements.
inline double gap(const at::Tensor& a, const at::Tensor& b) {
  return a.numel() == 0 ? 0 : (a.to(at::kDouble) - b.to(at::kDouble)).abs().max().item<double>();
}

}  // namespace cllm::testing
