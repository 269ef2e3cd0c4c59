#pragma once

// From token ids to hidden states: the part of a step that training and ranking share.
// Letters: T tokens, A active rows, D width, U unique table rows.

#include <ATen/core/Tensor.h>

#include <vector>

#include "data/batch.h"
#include "dist/row_exchange.h"
#include "model/backbone.h"
#include "model/table.h"

namespace cllm {

/// The tokens of a batch by where their embedding comes from; tensors on the device of the tables.
struct TokenSources {
  at::Tensor word_positions, word_ids;  // int64
  at::Tensor row_positions;             // int64: tokens of users and items
  std::vector<int32_t> rows;            // their table rows
};
TokenSources split_tokens(const Batch& batch, at::Device device);

/// Input embeddings [T, D] in the table's dtype: words from words_ND, the others from the fetched rows.
at::Tensor embed(const TokenSources& tokens, const at::Tensor& words_ND, const at::Tensor& fetched_UD,
                 const at::Tensor& inverse_T);

/// Hidden states of the active rows, [A, D] in the compute dtype. With grad mode on, the graph leads back to x_TD.
at::Tensor hidden_states(const Backbone& backbone, const Batch& batch, const at::Tensor& x_TD, const Dropout& dropout);

/// The three together, without dropout and without a graph. `table` must be flushed. Collective; an empty batch is fine.
at::Tensor encode(RowExchange& exchange, const Backbone& backbone, const Table& table, const Batch& batch);

}  // namespace cllm
