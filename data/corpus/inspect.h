#pragma once

#include <string>

#include "data/corpus/corpus.h"

namespace cllm {

struct InspectOptions {
  int64_t samples = 5;         // users and texts to show; 0: none
  int64_t sample_tokens = 60;  // tokens shown of a text
  uint64_t seed = 0;           // which ones
};

/// A table of counts, history and text lengths, the split and the options, and a few users and decoded texts, as lines
/// for a terminal. Reads the lengths of all rows, the contents only of the samples.
std::string describe(const Corpus& corpus, const InspectOptions& options = {});

}  // namespace cllm
