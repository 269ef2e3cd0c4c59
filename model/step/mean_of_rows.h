#pragma once

// Letters: T tokens, A active rows, D width.

#include <ATen/core/Tensor.h>

#include "model/nn/packed_layout.h"
#include "model/step/batch_tensors.h"

namespace cllm {

/// Of every active row the mean of the embeddings of users and items up to it in its sequence, 0 before the first; with
/// dropout of the embeddings, by draws of its own. [A, D] in the dtype of x_TD. With grad mode on, the graph leads back
/// to x_TD.
at::Tensor mean_of_rows(const TokenSources& tokens, const PackedLayout& layout, const at::Tensor& x_TD, double dropout);

}  // namespace cllm
