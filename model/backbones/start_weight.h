#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>

namespace cllm {

/// A matrix of N(0, deviation^2), rounded from fp64: a function of (seed, number of the parameter, row) alone, so the
/// same for any number of ranks and threads.
at::Tensor normal_weight(at::IntArrayRef shape, double deviation, uint64_t seed, uint64_t number, at::ScalarType dtype);

}  // namespace cllm
