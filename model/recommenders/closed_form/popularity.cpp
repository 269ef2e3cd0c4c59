#include "model/recommenders/closed_form/popularity.h"

#include <ATen/ops/empty.h>

#include <cmath>

namespace cllm {

Popularity::Popularity(const OpenArguments& arguments) : ClosedForm("popularity", arguments) {
  make_rows(1, 8 * num_items());
}

StepLosses Popularity::fit() {
  at::Tensor counts = at::empty({num_items()}, at::kDouble);
  agreed([&] {
    counts.zero_();
    auto* const count = counts.mutable_data_ptr<double>();
    const int rank = ranks_.comm().rank();
    const RowPartition users(num_users(), ranks_.comm().world_size());
    for (int64_t user = users.begin(rank); user < users.end(rank); ++user) {
      for (const int32_t item : corpus_.items(user, Part::kTrain)) ++count[item];
    }
  });
  ranks_.comm().all_reduce(counts, ReduceOp::kSum);
  table_.weight.copy_(counts.narrow(0, items().begin(table_.layout.rank()), table_.weight.size(0)).unsqueeze(1));
  const auto total = static_cast<double>(corpus_.num_interactions(Part::kTrain));
  double loss = 0;
  for (int64_t item = 0; item < num_items(); ++item) {
    const double n = counts.const_data_ptr<double>()[item];
    if (n > 0) loss -= n / total * std::log(n / total);
  }
  return {.loss = loss, .terms = {{"entropy", loss}}};
}

std::vector<std::vector<ScoredItem>> Popularity::top_items(std::span<const RankingQuery> queries, int64_t k) {
  at::Tensor counts = at::empty({num_items(), 1}, at::kFloat);
  ranks_.comm().all_gather(counts, table_.weight, items().sizes());
  const std::span<const float> scores(counts.const_data_ptr<float>(), static_cast<size_t>(num_items()));
  std::vector<std::vector<ScoredItem>> out;
  for (const RankingQuery& query : queries) {
    TopK best(k);
    best.add(scores, query.masked);
    out.push_back(best.take());
  }
  return out;
}

Model popularity_model() {
  return {.name = "popularity",
          .summary = "the items with the most training users, the same for everybody",
          .options = []() -> std::unique_ptr<ModelOptions> { return std::make_unique<PopularityOptions>(); },
          .open = [](const ModelOptions&, const OpenArguments& arguments) -> std::unique_ptr<Recommender> {
            return std::make_unique<Popularity>(arguments);
          },
          .closed_form = true};
}

}  // namespace cllm
