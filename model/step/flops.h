#pragma once

#include "data/sampling/batch.h"
#include "model/backbones/backbone.h"

namespace cllm {

/// Floating-point operations that the mathematics of a backbone's passes needs on this rank's part of a batch, for
/// model FLOP utilisation (MFU). Letters: T tokens, n tokens of a sequence, D width, L layers.
///   forward      2 T 12 L D^2 (the matrices of a block, GPT-2's proportions) + sum over sequences of 2 n^2 L D (causal
///                scores and values)
///   backward     once more for the input gradient, and once more for the parameters of a trained backbone
/// What a kernel computes again (attention's backward) does not count, nor do masks, norms and activations.
double backbone_flops(const Batch& batch, const Backbone& backbone, bool train_backbone);

/// Of a softmax head of V rows over A positions of width D: 2 A V D for the logits, for dH, and for dW of a trained
/// head.
double head_flops(int64_t positions, int64_t rows, int64_t width, bool trained_head);

}  // namespace cllm
