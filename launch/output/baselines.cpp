#include "launch/output/baselines.h"

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <functional>
#include <nlohmann/json.hpp>
#include <span>
#include <utility>

#include "data/errors.h"
#include "launch/output/append_file.h"
#include "model/evaluation/scorer.h"

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

/// Scores of one user at a time, on this rank alone.
class LocalScorer : public Scorer {
 public:
  using Score = std::function<void(std::span<const int32_t> history, std::vector<float>& scores)>;

  LocalScorer(int64_t num_items, Score score) : scores_(static_cast<size_t>(num_items)), score_(std::move(score)) {}

  std::vector<std::vector<ScoredItem>> top_items(std::span<const RankingQuery> queries, int64_t k) override {
    std::vector<std::vector<ScoredItem>> out;
    for (const RankingQuery& query : queries) {
      std::ranges::fill(scores_, 0.0f);
      score_(query.history, scores_);
      TopK best(k);
      best.add<float>(scores_, query.masked);
      out.push_back(best.take());
    }
    return out;
  }

 private:
  std::vector<float> scores_;
  Score score_;
};

MetricValues measure(const Corpus& corpus, const BaselineOptions& options, const ItemCounts& counts,
                     LocalScorer::Score score) {
  const int64_t num_items = corpus.vocabulary().num_items;
  LocalScorer scorer(num_items, std::move(score));
  MetricMean mean(options.metrics, num_items, &counts);
  for (int64_t user = 0; user < corpus.vocabulary().num_users; ++user) {
    const auto held_out = corpus.items(user, options.part);
    if (held_out.empty()) continue;
    const RankingQuery query = make_query(corpus, user, options.history, mask_at(options.part, options.mask));
    const auto lists = scorer.top_items({&query, 1}, options.metrics.longest());
    std::vector<int32_t> ranked;
    for (const ScoredItem& scored : lists.front()) ranked.push_back(scored.item);
    mean.add(ranked, held_out);
  }
  MetricValues out;
  const auto names = options.metrics.names();
  const auto values = mean.values();
  for (size_t n = 0; n < names.size(); ++n) out[names[n]] = values[n];
  return out;
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
  const ItemCounts counts = count_items(corpus);
  return {{"popularity", measure(corpus, options, counts, popularity)},
          {"item_cosine", measure(corpus, options, counts, item_cosine)}};
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
