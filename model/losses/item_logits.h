#pragma once

// Letters: A positions, V rows of items, D width.

#include <ATen/core/Tensor.h>

namespace cllm {

enum class HeadKind { kDot, kStandardised, kCosine };

/// How a hidden state h and the row w of an item make a logit: the product of what becomes of h and what becomes of w.
///   kDot           h . w, METHOD.md §4
///   kStandardised  (h - mean) / deviation . w, by dimension, both frozen
///   kCosine        h . w / (|h| |w| temperature); a vector of 0 stays one
/// Training and ranking both go through this. Everything is local, without a graph, and keeps dtypes; bf16 is computed
/// in fp32.
struct ItemLogits {
  HeadKind kind = HeadKind::kDot;
  double temperature = 0.1;
  at::Tensor mean_D = {}, deviation_D = {};  // of kStandardised, fp32 or fp64

  at::Tensor of_hidden(const at::Tensor& hidden_AD) const;
  at::Tensor of_rows(const at::Tensor& rows_VD) const;
  /// The gradient of h, or of w, from the gradient of what it became.
  at::Tensor hidden_gradient(const at::Tensor& hidden_AD, const at::Tensor& gradient_AD) const;
  at::Tensor rows_gradient(const at::Tensor& rows_VD, const at::Tensor& gradient_VD) const;
};

}  // namespace cllm
