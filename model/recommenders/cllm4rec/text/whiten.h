#pragma once

// Letters: V rows, k numbers of a raw vector, d of a whitened one.

#include <ATen/core/Tensor.h>

namespace cllm {

/// Vectors of texts, fp64 [V, k] with 0 for a row without text, as rows of text use them: less their mean, turned to
/// their `dims` directions of most variance, in which the variances become 1 / dims, so that the mean square length is
/// 1. Directions without variance, and those beyond k, are 0; so are rows without text. fp64 [V, dims].
at::Tensor whitened(const at::Tensor& raw_Vk, int64_t dims);

/// The same vectors dealt anew to the rows first .. last - 1 that have a text: a control without what texts tell.
at::Tensor shuffled_rows(const at::Tensor& vectors_Vd, int64_t first, int64_t last, uint64_t key);

}  // namespace cllm
