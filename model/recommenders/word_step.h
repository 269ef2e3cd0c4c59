#pragma once

// A step of models whose tokens are all words: language_model and titles.

#include <ATen/core/Tensor.h>

#include <functional>

#include "dist/communicator/communicator.h"
#include "model/backbones/backbone.h"
#include "model/losses/softmax_head.h"
#include "model/recommenders/recommender.h"
#include "model/step/batch_tensors.h"
#include "model/tables/dense_adam.h"

namespace cllm {

/// Input embeddings [T, D] of tokens that are all words, in the residual dtype of the backbone; no graph.
at::Tensor word_inputs(const Backbone& backbone, const TokenSources& tokens);

/// This rank's part of the loss, and what of it or of the gradients is not finite.
struct WordLoss {
  double loss = 0;
  NonFinite non_finite = NonFinite::kNone;
};
/// `head` gives the loss and its gradients by the hidden states [A, D] of the positions; gradients of all that is
/// trained of the backbone, summed over the ranks, are in .grad. Collective.
WordLoss word_loss(Communicator& world, const Backbone& backbone, const BatchTensors& tensors, const Dropout& dropout,
                   const std::function<HeadResult(const at::Tensor& hidden_AD)>& head);

/// The update by the gradients in .grad, cut to the norm `clip` (0: not). `mine`: loss and counts of this rank; those
/// of all come back. Collective.
StepLosses move_words(Communicator& world, DenseAdam& adam, const StepLosses& mine, const StepSettings& settings,
                      double clip, double learning_rate);

}  // namespace cllm
