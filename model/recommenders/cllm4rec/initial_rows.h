#pragma once

#include "data/corpus/corpus.h"
#include "model/backbones/backbone.h"
#include "model/recommenders/cllm4rec/options.h"
#include "model/recommenders/registry.h"
#include "model/tables/table.h"

namespace cllm {

/// The start of a table by [init], on its device. `normal`: N(0, std^2). `text_mean`: to the normal row of an id with
/// texts of its own comes the mean of their words' embeddings, less the mean of all `words`, which the backbone has.
/// fp64 for precision fp64, else fp32, or bf16 where rows are kept in it.
Table initial_table(const Cllm4recOptions& options, const OpenArguments& arguments, const Backbone& backbone,
                    const WordSet& words, Side side);

}  // namespace cllm
