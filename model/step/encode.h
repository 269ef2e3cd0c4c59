#pragma once

// From token ids to hidden states: the part of a step that training and ranking share.
// Letters: T tokens, A active rows, D width, U unique table rows.

#include <ATen/core/Tensor.h>

#include "data/sampling/batch.h"
#include "dist/rows/row_exchange.h"
#include "model/backbones/backbone.h"
#include "model/step/batch_tensors.h"
#include "model/tables/table.h"

namespace cllm {

/// Input embeddings [T, D] in the table's dtype: words from words_ND, the others from the fetched rows.
at::Tensor embed(const TokenSources& tokens, const at::Tensor& words_ND, const at::Tensor& fetched_UD,
                 const at::Tensor& inverse_T);

/// Hidden states of layout.output_rows_A, [A, D] in the compute dtype. With grad mode on, the graph leads back to x_TD.
at::Tensor hidden_states(const Backbone& backbone, const PackedLayout& layout, const at::Tensor& x_TD,
                         const Dropout& dropout);

/// The same, and `skip` times mean_of_rows(): what a frozen backbone makes of the rows cannot hide them then.
at::Tensor hidden_states(const Backbone& backbone, const BatchTensors& tensors, const at::Tensor& x_TD,
                         const Dropout& dropout, double skip);

/// All together, without dropout and without a graph. `table` must be flushed. Collective; an empty batch is fine.
at::Tensor encode(RowExchange& exchange, const Backbone& backbone, const Table& table, const Batch& batch,
                  double skip = 0);

}  // namespace cllm
