#pragma once

#include <functional>
#include <optional>

#include "data/sampling/batch.h"
#include "dist/communicator/communicator.h"
#include "model/backbones/backbone.h"
#include "model/losses/item_logits.h"
#include "model/tables/table.h"

namespace cllm {

/// Mean and deviation by dimension, fp32 or fp64, of the hidden states of the active rows of batches, without dropout:
/// those of steps 0, 1, …, until there are 256 sequences. `batch_of`: the global batch of a step, the same on all
/// ranks; none: there are no more. `skip`: as encode() has it. Every rank computes with all of them, so that the
/// numbers are the same for any number of ranks. Collective.
void standardise(ItemLogits& logits, Communicator& comm, const Backbone& backbone, const Table& table,
                 const std::function<std::optional<Batch>(int64_t step)>& batch_of, double skip = 0);

}  // namespace cllm
