#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "data/corpus/corpus.h"
#include "dist/communicator/communicator.h"
#include "model/evaluation/scorer.h"

namespace cllm {

/// Calls back for one user with its best items, best first.
using RankingSink = std::function<void(int64_t user, const std::vector<ScoredItem>& ranked)>;

struct RankingOptions {
  int64_t k = 100;
  bool hide_training_only = true;    // what a list leaves out: the training items (METHOD.md §7), or all known ones
  int64_t batch_users = 64;          // of a block
  std::function<bool()> leave = {};  // asked before every block; must say the same on all ranks. true ends it early
};

/// Ranks all items for `users` (this rank's; ranks may bring different numbers) from the training history of each,
/// block by block: there is never a users x items matrix. `sink` is called in the order of `users`. False if it was
/// left early. Collective.
bool rank_users(Scorer& scorer, const Corpus& corpus, Communicator& comm, std::span<const int64_t> users,
                const RankingOptions& options, const RankingSink& sink);

struct EvaluationOptions {
  Part part = Part::kTest;
  MetricChoice metrics = {};
  int64_t batch_users = 64;
  std::function<bool()> leave = {};  // as in RankingOptions
};

/// Called on the rank that ranked the user, with values in the order of metrics.names().
using PerUserSink = std::function<void(int64_t user, const std::vector<double>& values)>;

/// Mean metrics of METHOD.md §7 over the users with items in `part`, the same on every rank, by name; none if it was
/// left early. Collective.
std::map<std::string, double> evaluate(Scorer& scorer, const Corpus& corpus, Communicator& comm,
                                       const EvaluationOptions& options, const PerUserSink& per_user = {});

/// "recall@20 .2512  recall@40 .3465  ndcg@100 .2244"
std::string format_metrics(const std::map<std::string, double>& metrics);

}  // namespace cllm
