#pragma once

#include "data/corpus/corpus.h"
#include "launch/config/config.h"
#include "model/backbones/backbone.h"
#include "model/tables/table.h"

namespace cllm {

/// The start of a table by [init]. `normal`: N(0, std^2). `text_mean`: to the normal row of an id with texts of its own
/// comes the mean of their words' embeddings, less the mean of all words. fp64 for precision fp64, else fp32.
Table initial_table(const RunConfig& config, const Corpus& corpus, const Backbone& backbone, const TableLayout& layout,
                    Side side);

}  // namespace cllm
