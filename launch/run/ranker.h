#pragma once

#include <functional>
#include <map>
#include <memory>
#include <span>
#include <string>

#include "dist/communicator/communicator.h"
#include "launch/run/workspace.h"
#include "model/evaluation/evaluate.h"

namespace cllm {

using MetricChoice = MetricList;

/// The model of a workspace, asked by `prompt`, as a Scorer; its tables must be flushed. It is fed training items only
/// (check_history). The workspace and `comm` live as long.
std::unique_ptr<Scorer> scorer_of(Workspace& workspace, Communicator& comm, StepKind prompt);

/// ModelError unless the model can be fed it.
void check_history(HistoryMode history);

struct RunRankingOptions {
  int64_t k = 100;
  StepKind prompt = StepKind::kRecommendation;
  Mask mask = Mask::kHistory;
};

/// rank_users() of the workspace's model. Collective.
bool rank_users(Workspace& workspace, Communicator& comm, std::span<const int64_t> users,
                const RunRankingOptions& options,
                const std::function<void(int64_t user, const std::vector<ScoredItem>& ranked)>& sink);

struct RunEvaluationOptions {
  Part part = Part::kTest;
  StepKind prompt = StepKind::kRecommendation;
  MetricList metrics = MetricList({20, 40}, {100});
  std::function<bool()> leave = {};  // as in RankingOptions
};

/// Mean metrics of METHOD.md §7 over the users with items in `part`, the same on every rank, by name; none if it was
/// left early. Collective.
std::map<std::string, double> evaluate(Workspace& workspace, Communicator& comm, const RunEvaluationOptions& options);

/// "recall@20 .2512  recall@40 .3465  ndcg@100 .2244"
std::string format_metrics(const std::map<std::string, double>& metrics);

}  // namespace cllm
