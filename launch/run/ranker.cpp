#include "launch/run/ranker.h"

#include <ATen/ops/tensor.h>

#include <algorithm>
#include <cstdio>

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

bool rank_users(Scorer& scorer, const Corpus& corpus, Communicator& comm, std::span<const int64_t> users,
                const RankingOptions& options, const RankingSink& sink) {
  const int64_t block = options.batch_users;
  const int64_t blocks = agreed_blocks(comm, users.size(), block);
  for (int64_t n = 0; n < blocks; ++n) {
    if (options.leave && options.leave()) return false;
    const size_t first = std::min(users.size(), static_cast<size_t>(n * block));
    std::vector<RankingQuery> queries;
    for (const int64_t user : users.subspan(first, std::min(users.size() - first, static_cast<size_t>(block)))) {
      const auto history = corpus.items(user, Part::kTrain);
      queries.push_back({.user = user,
                         .history = {history.begin(), history.end()},
                         .masked = hidden_items(corpus, user, options.hide_training_only)});
    }
    const auto ranked = scorer.top_items(queries, options.k);
    for (size_t u = 0; u < queries.size(); ++u) sink(queries[u].user, ranked[u]);
  }
  return true;
}

std::map<std::string, double> evaluate(Scorer& scorer, const Corpus& corpus, Communicator& comm,
                                       const EvaluationOptions& options, const PerUserSink& per_user) {
  std::vector<int64_t> users;  // neighbours in id go to different ranks, so that ranks finish together
  for (int64_t user = comm.rank(); user < corpus.vocabulary().num_users; user += comm.world_size()) {
    if (corpus.num_items(user, options.part) > 0) users.push_back(user);
  }
  MetricMean mean(options.metrics);
  const RankingOptions ranking{options.metrics.longest(), true, options.batch_users, options.leave};
  const auto sink = [&](int64_t user, const std::vector<ScoredItem>& ranked) {
    std::vector<int32_t> items;
    for (const ScoredItem& scored : ranked) items.push_back(scored.item);
    const auto held_out = corpus.items(user, options.part);
    mean.add(items, held_out);
    if (per_user) per_user(user, options.metrics.of_user(items, held_out));
  };
  if (!rank_users(scorer, corpus, comm, users, ranking, sink)) return {};
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
