#pragma once

#include "model/losses/item_logits.h"
#include "model/recommenders/cllm4rec/sampler.h"
#include "model/recommenders/cllm4rec/train_step.h"

namespace cllm {

/// Mean and deviation by dimension, fp32 or fp64, of the hidden states at which sequences of the first epoch of `kind`
/// (L or F) predict items, without dropout: those of its first steps, until there are 256 sequences. Every rank
/// computes with all of them, so that they are the same for any number of ranks. Collective.
void standardise(ItemLogits& logits, const RecModel& model, const Sampler& sampler, StepKind kind,
                 const Channels& channels);

}  // namespace cllm
