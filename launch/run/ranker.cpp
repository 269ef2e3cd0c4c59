#include "launch/run/ranker.h"

#include <ATen/ops/tensor.h>

#include <algorithm>
#include <cstdio>

#include "model/evaluation/scoring.h"
#include "model/kernels/rows.h"
#include "model/step/encode.h"

namespace cllm {
namespace {

/// Every rank must take part in as many blocks as the busiest has.
int64_t agreed_blocks(Communicator& comm, size_t num_users, int64_t block) {
  at::Tensor blocks = at::tensor({(static_cast<int64_t>(num_users) + block - 1) / block}, at::kLong);
  comm.all_reduce(blocks, ReduceOp::kMax);
  return blocks.item<int64_t>();
}

std::vector<int32_t> hidden_items(const Corpus& corpus, int64_t user, bool training_only) {
  std::vector<int32_t> out;
  for (const Part part : {Part::kTrain, Part::kValidation, Part::kTest}) {
    if (training_only && part != Part::kTrain) continue;
    const auto items = corpus.items(user, part);
    out.insert(out.end(), items.begin(), items.end());
  }
  std::sort(out.begin(), out.end());
  return out;
}

}  // namespace

bool rank_users(Workspace& workspace, Communicator& comm, std::span<const int64_t> users, const RankingOptions& options,
                const RankingSink& sink) {
  const Table& table = workspace.model.collaborative;
  const ItemScorer scorer(comm, table.layout.items(), table.items().to(table.compute_dtype()));
  RowExchange exchange(comm, table.layout, table.weight.device(), kernels::row_kernels(table.weight.device()));
  const int64_t block = workspace.config.evaluation.batch_users;
  const int64_t blocks = agreed_blocks(comm, users.size(), block);
  for (int64_t n = 0; n < blocks; ++n) {
    if (options.leave && options.leave()) return false;
    const size_t first = std::min(users.size(), static_cast<size_t>(n * block));
    const auto mine = users.subspan(first, std::min(users.size() - first, static_cast<size_t>(block)));
    const Batch prompts = workspace.sampler.ranking_prompts(mine, options.prompt);
    const at::Tensor hidden_bD = encode(exchange, *workspace.model.backbone, table, prompts);
    std::vector<std::vector<int32_t>> masked;
    for (const int64_t user : mine) masked.push_back(hidden_items(workspace.corpus, user, options.hide_training_only));
    const auto ranked = scorer.top_items(hidden_bD, masked, options.k);
    for (size_t u = 0; u < mine.size(); ++u) sink(mine[u], ranked[u]);
  }
  return true;
}

std::map<std::string, double> evaluate(Workspace& workspace, Communicator& comm, const EvaluationOptions& options,
                                       const PerUserSink& per_user) {
  const Corpus& corpus = workspace.corpus;
  std::vector<int64_t> users;  // neighbours in id go to different ranks, so that ranks finish together
  for (int64_t user = comm.rank(); user < corpus.vocabulary().num_users; user += comm.world_size()) {
    if (corpus.num_items(user, options.part) > 0) users.push_back(user);
  }
  MetricMean mean(options.metrics);
  const RankingOptions ranking{options.metrics.longest(), options.prompt, true, options.leave};
  const bool complete =
      rank_users(workspace, comm, users, ranking, [&](int64_t user, const std::vector<ScoredItem>& ranked) {
        std::vector<int32_t> items;
        for (const ScoredItem& scored : ranked) items.push_back(scored.item);
        const auto held_out = corpus.items(user, options.part);
        mean.add(items, held_out);
        if (per_user) per_user(user, options.metrics.of_user(items, held_out));
      });
  if (!complete) return {};
  mean.all_reduce(comm);
  std::map<std::string, double> out;
  const auto names = options.metrics.names();
  const auto values = mean.values();
  for (size_t n = 0; n < names.size(); ++n) out[names[n]] = values[n];
  return out;
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
