#include "model/evaluation/settings.h"

namespace cllm {

MetricList EvaluationSettings::metric_list() const {
  return metrics.empty() ? MetricList(recall_k, ndcg_k) : MetricList::parse(metrics, "evaluation.metrics");
}

EvaluationOptions EvaluationSettings::options(Part part, uint64_t seed) const {
  return {.part = part,
          .metrics = metric_list(),
          .history = part == Part::kTest ? history_at_test : HistoryMode::kTrain,
          .mask = mask,
          .batch_users = batch_users,
          .bootstrap = part == Part::kTest ? bootstrap : 0,
          .seed = seed};
}

void describe(EvaluationSettings& evaluation, Settings& settings) {
  settings.push_back({"evaluation.metrics", &evaluation.metrics,
                      "metrics by name, e.g. [\"recall@20\", \"ndcg@100\"]; empty: of recall_k and ndcg_k"});
  settings.push_back({"evaluation.recall_k", &evaluation.recall_k, "cut-offs of Recall@K", at_least(1)});
  settings.push_back({"evaluation.ndcg_k", &evaluation.ndcg_k, "cut-offs of NDCG@K", at_least(1)});
  settings.push_back(enum_setting<HistoryMode>(
      "evaluation.history_at_test", &evaluation.history_at_test,
      "what the model is fed at the test; the literature on leave-last-out splits: train+validation",
      {{"train", HistoryMode::kTrain}, {"train+validation", HistoryMode::kTrainAndValidation}}));
  settings.push_back(
      enum_setting<Mask>("evaluation.mask", &evaluation.mask,
                         "what no list holds: what the model is fed, the training and validation items, or nothing",
                         {{"history", Mask::kHistory}, {"known", Mask::kKnown}, {"none", Mask::kNone}}));
  settings.push_back({"evaluation.select", &evaluation.select,
                      "sum of metrics that the best state is chosen by, e.g. recall@20+ndcg@100; empty: the model's"});
  settings.push_back({"evaluation.every_epochs", &evaluation.every_epochs,
                      "epochs between validations; 0: only at the end of a stage", at_least(0)});
  settings.push_back({"evaluation.batch_users", &evaluation.batch_users, "users ranked at a time by a rank",
                      between(1, 1 << 20), false, false});
  settings.push_back({"evaluation.bootstrap", &evaluation.bootstrap,
                      "resamples of the users for 95 % confidence intervals of the test; 0: none",
                      between(0, 1'000'000), false, false});
}

}  // namespace cllm
