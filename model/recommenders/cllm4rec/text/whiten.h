#pragma once

// Letters: V rows, k numbers of a raw vector, d of a whitened one.

#include <ATen/core/Tensor.h>

namespace cllm {

/// How vectors of texts become those that rows of text use: less the mean of the vectors that it was found for, turned
/// to their `dims` directions of most variance, in which the variances become 1 / dims, so that the mean square length
/// is 1. Directions without variance, and those beyond k, are 0.
struct Whitening {
  at::Tensor mean_k, turn_kd;  // fp64

  /// Of raw vectors, fp64 [V, k] with 0 for a row without text, which does not count; of fewer than two: all 0.
  static Whitening of(const at::Tensor& raw_Vk, int64_t dims);

  /// Of these or others of as many numbers: fp64 [V, dims], 0 for a row without text.
  at::Tensor apply(const at::Tensor& raw_Vk) const;
};

/// Such vectors dealt anew to the rows first .. last - 1 that have a text: a control without what texts tell.
at::Tensor shuffled_rows(const at::Tensor& vectors_Vd, int64_t first, int64_t last, uint64_t key);

}  // namespace cllm
