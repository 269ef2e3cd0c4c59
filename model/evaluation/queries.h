#pragma once

// From a corpus to what a Scorer is asked, and the loop over the users: there is never a users x items matrix.

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "data/corpus/corpus.h"
#include "dist/communicator/communicator.h"
#include "model/evaluation/metrics.h"
#include "model/evaluation/scorer.h"

namespace cllm {

/// What a model is fed. kTrainAndValidation is the literature's on leave-last-out splits (MODELS.md §0).
enum class HistoryMode { kTrain, kTrainAndValidation };

/// What no list holds: what the model is fed (METHOD.md §7), the training and validation items, all interactions
/// (recommendations), nothing.
enum class Mask { kHistory, kKnown, kEverything, kNone };

/// The items of a user, oldest first as far as the corpus knows the order.
std::vector<int32_t> history_of(const Corpus& corpus, int64_t user, HistoryMode mode);

/// `mask` where the items of `part` are to be found: before the test kKnown are the training items.
Mask mask_at(Part part, Mask mask);

RankingQuery make_query(const Corpus& corpus, int64_t user, HistoryMode history, Mask mask);

/// Training users of every item. Reads all training items.
ItemCounts count_items(const Corpus& corpus);

struct RankingOptions {
  int64_t k = 100;  // list length
  HistoryMode history = HistoryMode::kTrain;
  Mask mask = Mask::kHistory;
  std::vector<int32_t> left_out = {};  // of every list, ascending
  int64_t batch_users = 64;            // ranked at a time by a rank
  std::function<bool()> leave = {};    // asked before every block; must say the same on all ranks. true ends early
};

/// The query of a user and its best items, best first.
using RankingSink = std::function<void(const RankingQuery& query, const std::vector<ScoredItem>& ranked)>;

/// Ranks `users` (this rank's; ranks may bring different numbers) block by block and calls `sink` in their order.
/// False if it was left early. Collective.
bool rank_users(Scorer& scorer, const Corpus& corpus, Communicator& comm, std::span<const int64_t> users,
                const RankingOptions& options, const RankingSink& sink);

/// The same for queries of one's own (this rank's), in their order; history and mask of the options are not used.
/// `sink` gets a query's number. Collective.
using QuerySink = std::function<void(size_t query, const std::vector<ScoredItem>& ranked)>;
void rank_queries(Scorer& scorer, Communicator& comm, std::span<const RankingQuery> queries,
                  const RankingOptions& options, const QuerySink& sink);

}  // namespace cllm
