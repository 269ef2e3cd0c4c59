#pragma once

#include <ATen/core/Tensor.h>

#include "dist/communicator/communicator.h"
#include "model/backbones/backbone.h"
#include "model/step/batch_tensors.h"

namespace cllm {

/// As a whole; adapters leave it frozen.
bool is_trainable(const Backbone& backbone);

/// Of a backbone that is trained as a whole: adds what the words' inputs (x_gradient_TD) and, if defined, the text head
/// give to the word embedding's gradient, and then sums the gradients of all that is trained over the ranks. False: the
/// sums are not finite. Collective.
bool sum_backbone_gradients(Communicator& comm, const Backbone& backbone, const TokenSources& tokens,
                            const at::Tensor& x_gradient_TD, const at::Tensor& text_head_gradient);

}  // namespace cllm
