#pragma once

#include <ATen/core/Tensor.h>

#include "dist/communicator.h"
#include "dist/row_partition.h"

namespace cllm {

/// Predictions of one rank: A hidden states, each with one or more weighted targets (CSR).
struct Targets {
  at::Tensor offsets_A1;  // int64 [A+1]
  at::Tensor ids_K;       // int64 [K] row of the head
  at::Tensor weights_K;   // fp64 [K] weight of each target in the loss
};

/// Result of a head. Gradients are computed together with the loss, block by block, because the weights are known beforehand:
/// logits [A, V] never exist as a whole.
struct HeadResult {
  double loss = 0;             // this rank's sum_k weight_k * (logsumexp - logit of target k)
  at::Tensor hidden_gradient;  // [A, D], dtype of the hidden states
  at::Tensor weight_gradient;  // [rows of the head on this rank, D] in the table's dtype; undefined for a frozen head
};

/// How the item softmax meets a sharded table. kSharded: hidden states travel, every rank scores all of them against its own rows and
/// (log sum exp, target logit) is merged by one packed all-reduce. kGathered: the table travels, hidden states stay. Same result.
/// kSampled: an estimate from shared negatives, model/sampled_softmax.h; for item_softmax() it is no choice.
enum class ItemSoftmax { kSharded, kGathered, kSampled };

/// Exact softmax over all J items, head rows = the collaborative item table (METHOD.md §4). Collective.
/// hidden_AD may be empty on some ranks. compute dtype = dtype of hidden_AD; accumulation in the table's dtype.
HeadResult item_softmax(Communicator& comm, const RowPartition& items, ItemSoftmax form, const at::Tensor& hidden_AD,
                        const at::Tensor& local_items, const Targets& targets);

/// Softmax over the N words with the frozen head `words_ND` (dtype of hidden_AD). Local. With `want_weight_gradient` (trainable
/// backbone) also returns the head's gradient.
HeadResult text_softmax(const at::Tensor& hidden_AD, const at::Tensor& words_ND, const Targets& targets,
                        bool want_weight_gradient = false);

}  // namespace cllm
