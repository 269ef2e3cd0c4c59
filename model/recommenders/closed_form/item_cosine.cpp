#include "model/recommenders/closed_form/item_cosine.h"

#include <ATen/Parallel.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/zeros.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <optional>

#include "model/recommenders/closed_form/gram.h"
#include "model/recommenders/closed_form/history_scores.h"
#include "model/recommenders/closed_form/memory.h"

namespace cllm {
namespace {

/// The row of S of an item out of its row of G; returns the sum of S_jk G_jk. `count`: G_kk of all items.
double cosine_row(std::span<const double> gram_J, int64_t item, const double* count, double shrink, float* out_J) {
  double agreement = 0;
  for (size_t other = 0; other < gram_J.size(); ++other) {
    const double together = gram_J[other];
    const bool related = together > 0 && std::cmp_not_equal(other, item);
    const double cosine = related ? together / (std::sqrt(count[item] * count[other]) + shrink) : 0;
    out_J[other] = static_cast<float>(cosine);
    agreement += cosine * together;
  }
  return agreement;
}

}  // namespace

void ItemCosineOptions::describe(Settings& settings) {
  settings.push_back({"item_cosine.shrink", &shrink,
                      "added to the denominator of a cosine: 10 to 100 where few users have an item", at_least(0)});
  settings.push_back({"item_cosine.neighbours", &neighbours,
                      "largest similarities that are kept towards every item; 0: all", at_least(0)});
  settings.push_back({"item_cosine.recency", &recency,
                      "weight of a history's item per step back in time: 1 for all alike, .7 on ordered Beauty",
                      between(0, 1)});
  settings.push_back({"item_cosine.memory_gib", &memory_gib,
                      "memory that the ranks of a host may take together; 0: what the host has available", at_least(0),
                      false, false});
}

std::vector<SearchKey> ItemCosineOptions::search_space() const {
  return {{.key = "item_cosine.shrink", .choices = {"0.0", "5.0", "10.0", "20.0", "50.0", "100.0"}},
          {.key = "item_cosine.neighbours", .choices = {"0", "20", "50", "100", "200", "500"}},
          {.key = "item_cosine.recency", .choices = {"1.0", "0.9", "0.8", "0.7"}}};
}

ItemCosine::ItemCosine(const ItemCosineOptions& options, const OpenArguments& arguments)
    : ClosedForm("item_cosine", arguments), options_(options) {
  require_memory(arguments, ranks_.comm(),
                 {"item_cosine", num_items(), 4 * table_.layout.num_local_items() * num_items(), options.memory_gib,
                  "4 J^2 / R for the rows of each rank",
                  "keep fewer items (prepare --k-core), use more hosts, or raise item_cosine.memory_gib"});
  make_rows(num_items(), 8 * (2 + at::get_num_threads()) * num_items());
}

StepLosses ItemCosine::fit() {
  const int rank = ranks_.comm().rank();
  const int64_t J = num_items(), first = items().begin(rank), last = items().end(rank);
  std::optional<ItemUsers> users;
  agreed([&] { users.emplace(corpus_, first, last); });
  at::Tensor mine = at::empty({last - first}, at::kDouble), counts = at::empty({J}, at::kDouble);
  for (int64_t item = first; item < last; ++item)
    mine.mutable_data_ptr<double>()[item - first] = static_cast<double>(users->count(item));
  ranks_.comm().all_gather(counts, mine, items().sizes());

  at::Tensor agreement = at::zeros({J}, at::kDouble);  // by item, so that its sum has one order
  const auto* const count = counts.const_data_ptr<double>();
  auto* const sums = agreement.mutable_data_ptr<double>();
  auto* const rows = table_.weight.mutable_data_ptr<float>();
  at::parallel_for(first, last, 8, [&](int64_t begin, int64_t end) {
    std::vector<double> gram(static_cast<size_t>(J));
    for (int64_t item = begin; item < end; ++item) {
      std::ranges::fill(gram, 0.0);
      add_gram_row(corpus_, *users, item, gram);
      sums[item] = cosine_row(gram, item, count, options_.shrink, rows + (item - first) * J);
    }
  });
  ranks_.comm().all_reduce(agreement, ReduceOp::kSum);
  if (options_.neighbours > 0 && options_.neighbours < J) keep_neighbours();
  const double pairs = std::accumulate(count, count + J, 0.0), score = std::accumulate(sums, sums + J, 0.0);
  const double mean = pairs > 0 ? score / pairs : 0;
  return {.loss = -mean, .terms = {{"score", mean}}};
}

void ItemCosine::keep_neighbours() {
  // S is symmetric bit by bit, so a column's largest are its row's: an owner finds the last entry that a column keeps.
  const int64_t J = num_items(), mine = table_.layout.num_local_items(), first = items().begin(ranks_.comm().rank());
  at::Tensor last_kept = at::empty({mine, 2}, at::kDouble), all = at::empty({J, 2}, at::kDouble);
  auto* const rows = table_.weight.mutable_data_ptr<float>();
  for (int64_t n = 0; n < mine; ++n) {
    TopK best(options_.neighbours);
    best.add(std::span<const float>(rows + n * J, static_cast<size_t>(J)), {});
    const ScoredItem last = best.take().back();
    last_kept.mutable_data_ptr<double>()[2 * n] = last.score;
    last_kept.mutable_data_ptr<double>()[2 * n + 1] = last.item;
  }
  ranks_.comm().all_gather(all, last_kept, items().sizes());
  const auto* const bound = all.const_data_ptr<double>();
  for (int64_t n = 0; n < mine; ++n) {
    for (int64_t column = 0; column < J; ++column) {
      const ScoredItem last{static_cast<int32_t>(bound[2 * column + 1]), bound[2 * column]};
      float& value = rows[n * J + column];
      if (last < ScoredItem{static_cast<int32_t>(first + n), static_cast<double>(value)}) value = 0;
    }
  }
}

std::vector<std::vector<ScoredItem>> ItemCosine::top_items(std::span<const RankingQuery> queries, int64_t k) {
  return top_items_of_histories(ranks_, table_, queries, k, options_.recency, default_rows_at_a_time(num_items()));
}

Model item_cosine_model() {
  return {.name = "item_cosine",
          .summary = "cosines between the user sets of items, summed over the history",
          .options = []() -> std::unique_ptr<ModelOptions> { return std::make_unique<ItemCosineOptions>(); },
          .open = [](const ModelOptions& options, const OpenArguments& arguments) -> std::unique_ptr<Recommender> {
            return std::make_unique<ItemCosine>(dynamic_cast<const ItemCosineOptions&>(options), arguments);
          },
          .closed_form = true};
}

}  // namespace cllm
