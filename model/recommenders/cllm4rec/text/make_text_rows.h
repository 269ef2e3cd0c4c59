#pragma once

#include <memory>

#include "model/backbones/backbone.h"
#include "model/recommenders/cllm4rec/options.h"
#include "model/recommenders/registry.h"
#include "model/tables/text_rows.h"

namespace cllm {

/// The text rows of a run, on its device; null: none. Vectors are those of [rows.text], found by every rank for all
/// rows, so that they are the same for any number of ranks; a run that does not train leaves them 0, to be read from
/// its checkpoint. The map starts so that rows have the scale of [init]: N(0, std^2), or, of text_mean, the least
/// squares fit to the rows that it gives. The own parts of `table`, which has the start values of [init], become 0 for
/// rows with a text. Collective; throws on all ranks alike.
std::shared_ptr<TextRows> make_text_rows(const Cllm4recOptions& options, const OpenArguments& arguments,
                                         const Backbone& backbone, const WordSet& words, Table& table);

}  // namespace cllm
