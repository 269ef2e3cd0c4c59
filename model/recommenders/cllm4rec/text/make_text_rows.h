#pragma once

#include <memory>

#include "model/backbones/backbone.h"
#include "model/recommenders/cllm4rec/text/text_options.h"
#include "model/recommenders/cllm4rec/words/word_set.h"
#include "model/recommenders/registry.h"
#include "model/tables/text_rows.h"

namespace cllm {

/// How a map starts: N(0, std^2), or the least squares fit to the means of the words of the texts, so that rows have
/// the scale of free ones.
struct MapStart {
  bool fit_word_means = false;
  double std = 0.02;
};

/// The text rows of a run, on its device; null: none. Vectors are those of [rows.text], found by every rank for all
/// rows, so that they are the same for any number of ranks, and turned as those of the run that is the start; a run
/// that does not train leaves them 0, to be read from its checkpoint. The own parts of `table`, which has its start
/// values, become 0 for rows with a text. Collective; throws on all ranks alike.
std::shared_ptr<TextRows> make_text_rows(const TextRowsOptions& options, const MapStart& start,
                                         const OpenArguments& arguments, const Backbone& backbone, const WordSet& words,
                                         Table& table);

}  // namespace cllm
