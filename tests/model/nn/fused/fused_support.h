#pragma once

#include <ATen/TensorOperators.h>

#include <functional>
#include <vector>

#include <gtest/gtest.h>

#include "tests/model/tensors.h"

namespace cllm::testing {

using Tensors = std::vector<at::Tensor>;
using Function = std::function<Tensors(const Tensors&)>;

/// Outputs, then the gradients of the sum of direction * output in the inputs.
inline Tensors values_and_gradients(const Function& f, const Tensors& inputs) {
  Tensors leaves;
  for (const at::Tensor& input : inputs) leaves.push_back(input.detach().clone().set_requires_grad(true));
  Tensors out = f(leaves);
  at::Tensor sum;
  for (size_t n = 0; n < out.size(); ++n) {
    const at::Tensor part = (out[n].to(at::kDouble) * normal(out[n].sizes(), 900 + n)).sum();
    sum = sum.defined() ? sum + part : part;
  }
  sum.backward();
  for (at::Tensor& value : out) value = value.detach();
  for (const at::Tensor& leaf : leaves) out.push_back(leaf.grad());
  return out;
}

/// Values and gradients of two functions agree; inputs are given in fp64 and cast to `dtype` for `f`.
inline void expect_same(const Function& f, const Function& reference, const Tensors& inputs, at::ScalarType dtype,
                        double tolerance) {
  Tensors cast;
  for (const at::Tensor& input : inputs) cast.push_back(input.to(dtype));
  const Tensors got = values_and_gradients(f, cast), want = values_and_gradients(reference, inputs);
  ASSERT_EQ(got.size(), want.size());
  for (size_t n = 0; n < got.size(); ++n) {
    ASSERT_TRUE(got[n].defined()) << n;
    EXPECT_EQ(got[n].sizes(), want[n].sizes()) << n;
    EXPECT_LE(gap(got[n], want[n]), tolerance * (1 + want[n].abs().max().item<double>())) << n;
  }
}

}  // namespace cllm::testing
