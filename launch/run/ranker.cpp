#include "launch/run/ranker.h"

#include <algorithm>
#include <cstdio>

#include "model/errors.h"
#include "model/evaluation/scoring.h"
#include "model/kernels/rows.h"
#include "model/step/encode.h"

namespace cllm {
namespace {

class PromptScorer : public Scorer {
 public:
  PromptScorer(Workspace& workspace, Communicator& comm, StepKind prompt)
      : workspace_(workspace), prompt_(prompt),
        items_(comm, table().layout.items(), table().items().to(table().compute_dtype())),
        exchange_(comm, table().layout, table().weight.device(), kernels::row_kernels(table().weight.device())) {}

  std::vector<std::vector<ScoredItem>> top_items(std::span<const RankingQuery> queries, int64_t k) override {
    std::vector<int64_t> users;
    std::vector<std::vector<int32_t>> masked;
    for (const RankingQuery& query : queries) {
      users.push_back(query.user);
      masked.push_back(query.masked);
    }
    const Batch prompts = workspace_.sampler.ranking_prompts(users, prompt_);
    return items_.top_items(encode(exchange_, *workspace_.model.backbone, table(), prompts), masked, k);
  }

 private:
  const Table& table() const { return workspace_.model.collaborative; }

  Workspace& workspace_;
  StepKind prompt_;
  ItemScorer items_;
  RowExchange exchange_;
};

}  // namespace

std::unique_ptr<Scorer> scorer_of(Workspace& workspace, Communicator& comm, StepKind prompt) {
  return std::make_unique<PromptScorer>(workspace, comm, prompt);
}

void check_history(HistoryMode history) {
  if (history != HistoryMode::kTrain)
    throw ModelError("this model is fed training items only: evaluate it with history train");
}

bool rank_users(Workspace& workspace, Communicator& comm, std::span<const int64_t> users,
                const RunRankingOptions& options,
                const std::function<void(int64_t user, const std::vector<ScoredItem>& ranked)>& sink) {
  const RankingOptions ranking{
      .k = options.k, .mask = options.mask, .batch_users = workspace.config.evaluation.batch_users};
  return rank_users(
      *scorer_of(workspace, comm, options.prompt), workspace.corpus, comm, users, ranking,
      [&](const RankingQuery& query, const std::vector<ScoredItem>& ranked) { sink(query.user, ranked); });
}

std::map<std::string, double> evaluate(Workspace& workspace, Communicator& comm, const RunEvaluationOptions& options) {
  const EvaluationOptions evaluation{.part = options.part,
                                     .metrics = options.metrics,
                                     .batch_users = workspace.config.evaluation.batch_users,
                                     .leave = options.leave};
  return evaluate(*scorer_of(workspace, comm, options.prompt), workspace.corpus, comm, evaluation).values;
}

std::string format_metrics(const std::map<std::string, double>& metrics) {
  std::string out;
  for (const auto& [name, value] : metrics) {
    char text[64];
    std::snprintf(text, sizeof text, "%s%s %.4f", out.empty() ? "" : "  ", name.c_str(), value);
    out += text;
  }
  return out;
}

}  // namespace cllm
