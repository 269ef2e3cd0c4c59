#pragma once

#include <ATen/core/Tensor.h>

#include "model/backbones/backbone.h"
#include "model/step/batch_tensors.h"

namespace cllm {

/// Input embeddings [T, D] of tokens that are all words, in the residual dtype of the backbone; no graph.
at::Tensor word_inputs(const Backbone& backbone, const TokenSources& tokens);

}  // namespace cllm
