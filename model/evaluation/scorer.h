#pragma once

// Letters: b users of this rank's block, K list length.

#include <cstdint>
#include <span>
#include <vector>

#include "model/evaluation/ranking.h"

namespace cllm {

/// One user's question: what is known of the user, and what may not be answered.
struct RankingQuery {
  int64_t user = -1;                  // internal id; -1: a user that is not in the corpus
  std::vector<int32_t> history = {};  // items that the model is fed, oldest first
  std::vector<int32_t> masked = {};   // items that no list holds, ascending
};

/// All that evaluation and recommending know of a model.
class Scorer {
 public:
  virtual ~Scorer() = default;

  /// The K best items of each user, best first, without the masked ones; fewer if there are no more. Any number of
  /// queries, also 0; it may differ between ranks. Lists and scores do not depend on the world size. Collective.
  virtual std::vector<std::vector<ScoredItem>> top_items(std::span<const RankingQuery> queries, int64_t k) = 0;
};

}  // namespace cllm
