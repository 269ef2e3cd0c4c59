#pragma once

#include "data/sampling/batch.h"
#include "model/backbones/backbone.h"

namespace cllm {

/// Floating-point operations that the mathematics of a backbone's passes needs on this rank's part of a batch, for
/// model FLOP utilisation (MFU).
///   forward   Backbone::flops
///   backward  once more for the input gradient, and once more for the parameters of a trained backbone
/// What a kernel computes again (attention's backward) does not count, nor do masks, norms and activations.
double backbone_flops(const Batch& batch, const Backbone& backbone, bool train_backbone);

/// Of a softmax head of V rows over A positions of width D: 2 A V D for the logits, for dH, and for dW of a trained
/// head.
double head_flops(int64_t positions, int64_t rows, int64_t width, bool trained_head);

}  // namespace cllm
