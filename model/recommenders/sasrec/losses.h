#pragma once

// Losses of a sequence model whose negatives are few. Sums over the positions, in fp64; differentiable in all rows.
// Letters: T positions, G groups of neighbouring positions, k negatives that a group shares, D width.

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

namespace cllm {

/// sum_T softplus(-h e+) + softplus(h e-), one negative per position: [T, D] each.
at::Tensor bce_loss(const at::Tensor& hidden_TD, const at::Tensor& positives_TD, const at::Tensor& negatives_TD);

/// Scores of every position against the negatives of its group: [T, k]. `negatives_GkD` [G k, D]; `lengths` [G]: the
/// positions of each group.
at::Tensor negative_scores(const at::Tensor& hidden_TD, const at::Tensor& negatives_GkD,
                           const std::vector<int64_t>& lengths);

/// sum_T (beta softplus(-s+) + sum_k softplus(s-)) / (k + 1): beta = 1 is the binary cross-entropy (MODELS.md §4).
at::Tensor gbce_loss(const at::Tensor& positive_T, const at::Tensor& negative_Tk, double beta);

/// sum_T -ln(e^s+ / (e^s+ + sum_k e^s-)); negatives where `hit_Tk` is true are the position's own target and do not
/// count.
at::Tensor sampled_loss(const at::Tensor& positive_T, const at::Tensor& negative_Tk, const at::Tensor& hit_Tk);

}  // namespace cllm
