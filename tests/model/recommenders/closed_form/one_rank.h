#pragma once

#include "model/recommenders/registry.h"
#include "tests/support/thread_world.h"

namespace cllm::testing {

/// A model in a world of one rank, and what of it outlives it.
template <typename M>
struct OneRank {
  template <typename Options>
  OneRank(const Corpus& corpus, const Options& options, RunOptions run = {})
      : model(options, {.corpus = corpus, .channels = channels, .run = run, .agreed = {}}) {}

  ThreadCommunicator comm{std::make_shared<SharedWorld>(1), 0};
  Channels channels{comm};
  M model;

  at::Tensor rows() { return model.store().tables[0].table->weight; }
};

}  // namespace cllm::testing
