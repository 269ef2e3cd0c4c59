#include "model/evaluation/ranking.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/tensor.h>

#include <algorithm>

#include "model/evaluation/metrics.h"
#include "model/evaluation/scoring.h"
#include "model/nn/packed_layout.h"
#include "tests/golden/families.h"

namespace cllm::golden {
namespace {

constexpr double kMetricTolerance = 1e-12;
constexpr int64_t kListLength = 20;

std::vector<int32_t> ascending(const Json& items) {
  auto out = items.get<std::vector<int32_t>>();
  std::ranges::sort(out);
  return out;
}

/// The metrics of a case are named in its means: "recall@5", "ndcg@20".
MetricList metrics_of(const Json& mean) {
  std::vector<std::string> names;
  for (const auto& [name, value] : mean.items()) names.push_back(name);
  return MetricList::parse(names, "golden means");
}

/// Lists of this rank's users (every world_size-th) from the model: hidden state at the end of a prompt with all
/// training items.
std::vector<std::vector<ScoredItem>> lists_from_model(GoldenSet& set, ParityReport& report, const Json& c) {
  const auto R = static_cast<size_t>(set.comm().world_size()), rank = static_cast<size_t>(set.comm().rank());
  const LossOptions options = parse_preset(c.at("preset").get<std::string>());
  const RecModel model = set.model(c.at("tables"));
  const SafetensorsFile tables = set.open("tables_std" + c.at("tables").get<std::string>() + ".safetensors");
  const at::Tensor rows = at::cat(
      {model.backbone->word_embedding(), set.placed(tables.tensor("l_user")), set.placed(tables.tensor("l_item"))});
  std::vector<int64_t> lengths, ids, last, users;
  std::vector<std::vector<int32_t>> masked;
  for (size_t n = rank; n < c.at("users").size(); n += R) {
    const auto prompt =
        set.recommendation_prompt(options, c.at("users")[n], c.at("train")[n].get<std::vector<int32_t>>());
    lengths.push_back(static_cast<int64_t>(prompt.size()));
    ids.insert(ids.end(), prompt.begin(), prompt.end());
    last.push_back(static_cast<int64_t>(ids.size()) - 1);
    masked.push_back(ascending(c.at("train")[n]));
    users.push_back(static_cast<int64_t>(n));
  }
  const at::Tensor x_TD = rows.index_select(0, set.placed(at::tensor(ids, at::kLong)));
  PackedLayout layout = make_layout(lengths, x_TD.device());
  layout.output_rows_A = set.placed(at::tensor(last, at::kLong));
  const at::Tensor hidden = lengths.empty() ? x_TD : model.backbone->forward(x_TD, layout, {});

  const ItemScorer scorer(set.comm(), set.layout().items(), model.collaborative.items());
  const auto lists = scorer.top_items(hidden, masked, kListLength);
  const at::Tensor truth = set.truth("ranking").tensor(c.at("name").get<std::string>());
  std::vector<double> actual, expected;
  for (size_t n = 0; n < lists.size(); ++n) {
    for (const ScoredItem& item : lists[n]) {
      actual.push_back(item.score);
      expected.push_back(truth[users[n]][item.item].item<double>());
    }
  }
  report.compare(c.at("name").get<std::string>() + "/scores", at::tensor(actual, at::kDouble),
                 at::tensor(expected, at::kDouble), truth, set.tolerances().value);
  return lists;
}

std::vector<std::vector<ScoredItem>> lists_from_scores(GoldenSet& set, const Json& c) {
  std::vector<std::vector<ScoredItem>> lists;
  const auto R = static_cast<size_t>(set.comm().world_size());
  for (size_t n = static_cast<size_t>(set.comm().rank()); n < c.at("scores").size(); n += R) {
    const auto scores = c.at("scores")[n].get<std::vector<double>>();
    const std::vector<int32_t> masked = ascending(c.at("train")[n]);
    TopK best(kListLength);
    if (set.dtype() == at::kFloat) {
      best.add<float>(std::vector<float>(scores.begin(), scores.end()), masked);
    } else {
      best.add<double>(scores, masked);
    }
    lists.push_back(best.take());
  }
  return lists;
}

void check_case(GoldenSet& set, ParityReport& report, const Json& c) {
  const auto name = c.at("name").get<std::string>();
  const auto lists = c.contains("scores") ? lists_from_scores(set, c) : lists_from_model(set, report, c);
  const MetricList choice = metrics_of(c.at("mean"));
  const std::vector<std::string> metrics = choice.names();
  MetricMean mean(choice);
  bool lists_equal = true, users_equal = true;
  double largest = 0;
  size_t user = static_cast<size_t>(set.comm().rank());
  for (const auto& list : lists) {
    std::vector<int32_t> ranked;
    for (const ScoredItem& item : list) ranked.push_back(item.item);
    lists_equal &= ranked == c.at("top")[user].get<std::vector<int32_t>>();
    const std::vector<int32_t> held_out = ascending(c.at("held_out")[user]);
    mean.add(ranked, held_out);
    const Json& expected = c.at("per_user")[user];
    users_equal &= expected.is_null() == held_out.empty();
    if (!expected.is_null()) {
      const std::vector<double> values = choice.of_user(ranked, held_out);
      for (size_t n = 0; n < metrics.size(); ++n)
        largest = std::max(largest, std::abs(values[n] - expected.at(metrics[n]).get<double>()));
    }
    user += static_cast<size_t>(set.comm().world_size());
  }
  report.expect(name + "/top", lists_equal);
  report.expect(name + "/users without held-out items", users_equal);
  report.compare(name + "/per_user", largest, 0, kMetricTolerance);
  mean.all_reduce(set.comm());
  for (size_t n = 0; n < metrics.size(); ++n) {
    report.compare(name + "/mean/" + metrics[n], mean.values()[n], c.at("mean").at(metrics[n]).get<double>(),
                   kMetricTolerance);
  }
}

}  // namespace

void check_ranking(GoldenSet& set, ParityReport& report) {
  for (const Json& c : set.index().at("ranking")) {
    if (!set.is_bf16()) {
      check_case(set, report, c);
    } else if (!c.contains("scores")) {
      lists_from_model(set, report, c);  // compares the scores; lists may differ where these are close
    }
  }
}

}  // namespace cllm::golden
