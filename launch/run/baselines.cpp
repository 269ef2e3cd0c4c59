#include "launch/run/baselines.h"

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <span>
#include <utility>

#include "data/errors.h"
#include "launch/output/append_file.h"

namespace cllm {
namespace {

/// Training users of every item in CSR form, and how many there are.
struct ItemUsers {
  std::vector<int64_t> offsets;  // [J+1]
  std::vector<int32_t> users;

  explicit ItemUsers(const Corpus& corpus)
      : offsets(corpus.vocabulary().num_items + 1), users(corpus.num_interactions(Part::kTrain)) {
    const int64_t num_users = corpus.vocabulary().num_users;
    for (int64_t user = 0; user < num_users; ++user) {
      for (int32_t item : corpus.items(user, Part::kTrain)) ++offsets[item + 1];
    }
    for (size_t i = 1; i < offsets.size(); ++i) offsets[i] += offsets[i - 1];
    std::vector<int64_t> next(offsets.begin(), offsets.end() - 1);
    for (int64_t user = 0; user < num_users; ++user) {
      for (int32_t item : corpus.items(user, Part::kTrain)) users[next[item]++] = static_cast<int32_t>(user);
    }
  }

  std::span<const int32_t> of(int64_t item) const { return std::span(users).subspan(offsets[item], count(item)); }
  int64_t count(int64_t item) const { return offsets[item + 1] - offsets[item]; }
};

/// Adds to scores[j] the cosine between the user sets of j and of every item of the history:
/// sum over i in history of |U_i and U_j| / sqrt(|U_i| |U_j|). Walks the co-users, so no item-item matrix is made.
void add_item_cosine(const Corpus& corpus, const ItemUsers& index, std::span<const int32_t> history,
                     std::vector<float>& scores) {
  for (int32_t seen : history) {
    const float weight = 1 / std::sqrt(static_cast<float>(index.count(seen)));
    for (int32_t neighbour : index.of(seen)) {
      for (int32_t item : corpus.items(neighbour, Part::kTrain)) scores[item] += weight;
    }
  }
  for (size_t item = 0; item < scores.size(); ++item) {
    if (scores[item] > 0) scores[item] /= std::sqrt(static_cast<float>(index.count(static_cast<int64_t>(item))));
  }
}

/// The best `k` unseen items, best first; ties go to the lower id. `seen` is ascending.
std::vector<int32_t> best_items(const std::vector<float>& scores, std::span<const int32_t> seen, int64_t k) {
  std::vector<int32_t> order;
  for (int32_t item = 0; std::cmp_less(item, scores.size()); ++item) {
    if (!std::ranges::binary_search(seen, item)) order.push_back(item);
  }
  const auto end = order.begin() + std::min<int64_t>(k, static_cast<int64_t>(order.size()));
  std::partial_sort(order.begin(), end, order.end(),
                    [&](int32_t a, int32_t b) { return scores[a] != scores[b] ? scores[a] > scores[b] : a < b; });
  order.erase(end, order.end());
  return order;
}

/// Recall@K and NDCG@K of one user, METHOD.md §7, added to `sums`.
void add_metrics(const std::vector<int32_t>& ranked, std::span<const int32_t> held_out, const BaselineOptions& options,
                 MetricValues& sums) {
  const auto gain = [&](int64_t k, auto weight) {
    double sum = 0;
    for (int64_t place = 0; place < std::min<int64_t>(k, std::ssize(ranked)); ++place) {
      if (std::ranges::binary_search(held_out, ranked[place])) sum += weight(place);
    }
    return sum;
  };
  const auto discount = [](int64_t place) { return 1 / std::log2(static_cast<double>(place) + 2); };
  for (int64_t k : options.recall_k) {
    const auto possible = static_cast<double>(std::min<int64_t>(k, std::ssize(held_out)));
    sums["recall@" + std::to_string(k)] += gain(k, [](int64_t) { return 1.0; }) / possible;
  }
  for (int64_t k : options.ndcg_k) {
    double ideal = 0;
    for (int64_t place = 0; place < std::min<int64_t>(k, std::ssize(held_out)); ++place) ideal += discount(place);
    sums["ndcg@" + std::to_string(k)] += gain(k, discount) / ideal;
  }
}

/// Mean over the users that have held-out items. `score` fills the scores (zeroed before) of one user.
template <typename Score>
MetricValues evaluate(const Corpus& corpus, const BaselineOptions& options, Score score) {
  MetricValues sums;
  int64_t num_users = 0, longest = 0;
  for (const auto* cut_offs : {&options.recall_k, &options.ndcg_k}) {
    for (int64_t k : *cut_offs) longest = std::max(longest, k);
  }
  std::vector<float> scores(corpus.vocabulary().num_items);
  for (int64_t user = 0; user < corpus.vocabulary().num_users; ++user) {
    const auto held_out = corpus.items(user, options.part), history = corpus.items(user, Part::kTrain);
    if (held_out.empty()) continue;
    std::ranges::fill(scores, 0.0f);
    score(history, scores);
    add_metrics(best_items(scores, history, longest), held_out, options, sums);
    ++num_users;
  }
  for (auto& [name, sum] : sums) sum /= static_cast<double>(num_users);
  return sums;
}

std::filesystem::path baselines_path(const std::string& run_dir) {
  return std::filesystem::path(run_dir) / "baselines.json";
}

}  // namespace

std::map<std::string, MetricValues> evaluate_baselines(const Corpus& corpus, const BaselineOptions& options) {
  const ItemUsers index(corpus);
  const auto popularity = [&](std::span<const int32_t>, std::vector<float>& scores) {
    for (size_t item = 0; item < scores.size(); ++item)
      scores[item] = static_cast<float>(index.count(static_cast<int64_t>(item)));
  };
  const auto item_cosine = [&](std::span<const int32_t> history, std::vector<float>& scores) {
    add_item_cosine(corpus, index, history, scores);
  };
  return {{"popularity", evaluate(corpus, options, popularity)},
          {"item_cosine", evaluate(corpus, options, item_cosine)}};
}

void write_baselines(const std::string& run_dir, const std::map<std::string, MetricValues>& baselines) {
  write_whole_file(baselines_path(run_dir), nlohmann::json(baselines).dump(2) + "\n");
}

std::map<std::string, MetricValues> read_baselines(const std::string& run_dir) {
  const std::string path = baselines_path(run_dir), text = read_whole_file(path);
  if (text.empty()) return {};
  try {
    return nlohmann::json::parse(text).get<std::map<std::string, MetricValues>>();
  } catch (const nlohmann::json::exception& error) {
    throw DataError(path + ": not a list of baseline metrics: " + error.what());
  }
}

}  // namespace cllm
