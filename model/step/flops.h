#pragma once

#include "data/sampling/batch.h"
#include "model/backbones/backbone.h"
#include "model/step/train_step.h"

namespace cllm {

/// Floating-point operations that the mathematics of a step needs on this rank's part of the batch, for model FLOP
/// utilisation (MFU). Letters: A predicting positions, V rows of the head (J items or N words), D width.
///   forward   Backbone::flops
///   backward  once more for the input gradient, and once more for the parameters of a trained backbone
///   head      2 A V D for the logits, for dH, and for dW of a trained head (items always)
/// What a kernel computes again (attention's and the softmax's backward) does not count, nor do masks, norms and
/// activations.
double step_flops(const Batch& batch, const Backbone& backbone, const StepConfig& config, bool train_backbone);

/// forward + backward of it, without the head.
double backbone_flops(const Batch& batch, const Backbone& backbone, bool train_backbone);

}  // namespace cllm
