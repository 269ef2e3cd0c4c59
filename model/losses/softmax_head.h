#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <optional>

#include "dist/communicator/communicator.h"
#include "dist/row_partition.h"

namespace cllm {

/// Predictions of one rank: A hidden states, each with one or more weighted targets (CSR).
struct Targets {
  at::Tensor offsets_A1;  // int64 [A+1]
  at::Tensor ids_K;       // int64 [K] row of the head
  at::Tensor weights_K;   // fp64 [K] weight of each target in the loss
};

/// How the logits [A, V] of a head are cut into blocks, of which one is in memory at a time: some positions x all V
/// rows, or, if that would be too much, x a range of the rows. The latter makes the logits twice: a product more, and
/// memory that does not grow with V.
struct LogitBlocks {
  int64_t bytes;            // of a block
  int64_t least_positions;  // with fewer the products starve, so a block of whole rows may be larger
  int64_t whole_row_bytes;  // but not larger than this
  int64_t kept_bytes;  // blocks of whole rows stay between the passes of the sharded item softmax if all take no more
};
/// For these hidden states, on their device. CPU: a block stays in the cache between the products. GPU: it fills the
/// chip for many waves of tiles, and is at most 4 times the fp32 hidden states, or 64 MB. GPT-2's text head comes in
/// whole rows on both.
LogitBlocks logit_blocks(const at::Tensor& hidden_AD);

/// Result of a head. Gradients are computed together with the loss, block by block, because the weights are known
/// beforehand: logits [A, V] never exist as a whole.
struct HeadResult {
  double loss = 0;             // this rank's sum_k weight_k * (logsumexp - logit of target k)
  at::Tensor hidden_gradient;  // [A, D], dtype of the hidden states
  at::Tensor weight_gradient;  // [rows of the head on this rank, D] in the table's dtype; undefined for a frozen head
};

/// How the item softmax meets a sharded table. kSharded: hidden states travel, every rank scores all of them against
/// its own rows and (log sum exp, target logit) is merged by one packed all-reduce. kGathered: the table travels,
/// hidden states stay. Same result. kSampled: an estimate from shared negatives, model/losses/sampled_softmax.h; for
/// item_softmax() it is no choice.
enum class ItemSoftmax { kSharded, kGathered, kSampled };

/// Exact softmax over all J items, head rows = the collaborative item table (METHOD.md §4). Collective.
/// hidden_AD may be empty on some ranks. compute dtype = dtype of hidden_AD; accumulation in the table's dtype.
/// `blocks`: logit_blocks() if not given, here and below.
HeadResult item_softmax(Communicator& comm, const RowPartition& items, ItemSoftmax form, const at::Tensor& hidden_AD,
                        const at::Tensor& local_items, const Targets& targets, std::optional<LogitBlocks> blocks = {});

/// Softmax over the N words with the frozen head `words_ND` (dtype of hidden_AD). Local. With `want_weight_gradient`
/// (trainable backbone) also returns the head's gradient.
HeadResult text_softmax(const at::Tensor& hidden_AD, const at::Tensor& words_ND, const Targets& targets,
                        bool want_weight_gradient = false, std::optional<LogitBlocks> blocks = {});

}  // namespace cllm
