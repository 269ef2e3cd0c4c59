#pragma once

// What blocks of families share. Letters: T tokens, I inputs and O outputs of a matrix, n tokens of a sequence, h head
// width.

#include <ATen/core/Tensor.h>

#include "model/nn/adapter.h"
#include "model/nn/linear.h"

namespace cllm {

/// x [T, I] -> x W^T (+ bias) [T, O], and what an adapter adds, for a weight [O, I] that is computed with in `compute`.
class Projection {
 public:
  Projection() = default;
  Projection(at::Tensor weight, at::Tensor bias, Adapter adapter, at::ScalarType compute);

  /// `keys`, `rate`: of the adapter's dropout.
  at::Tensor operator()(const at::Tensor& x, const at::Tensor& keys, double rate) const;

 private:
  at::Tensor weight_, bias_;
  Adapter adapter_;
  Linear of_compute_;
};

/// softmax(q k^T scale + bias) v of some heads, [heads, n, h], for keys and values [heads, m, h]. `bias`: broadcast to
/// [heads, n, m], in the dtype of the softmax; undefined: none.
at::Tensor biased_attention(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, const at::Tensor& bias,
                            double scale);

}  // namespace cllm
