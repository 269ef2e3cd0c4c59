#include "model/evaluation/metrics.h"

#include <ATen/ops/empty.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <numeric>
#include <utility>

#include "model/errors.h"

namespace cllm {
namespace {

bool contains(std::span<const int32_t> ascending, int32_t item) {
  return std::binary_search(ascending.begin(), ascending.end(), item);
}

std::span<const int32_t> first(std::span<const int32_t> ranked, int64_t k) {
  return ranked.first(std::min(ranked.size(), static_cast<size_t>(k)));
}

double discount(size_t index) { return 1 / std::log2(static_cast<double>(index) + 2); }

double hits_at_k(const UserList& list, int64_t k) {
  return static_cast<double>(
      std::ranges::count_if(first(list.ranked, k), [&](int32_t item) { return contains(list.held_out, item); }));
}

/// 1 / rank of the first hit.
double reciprocal_rank(const UserList& list, int64_t k) {
  const auto head = first(list.ranked, k);
  const auto hit = std::ranges::find_if(head, [&](int32_t item) { return contains(list.held_out, item); });
  return hit == head.end() ? 0 : 1 / static_cast<double>(hit - head.begin() + 1);
}

/// sum over hits of the precision at their rank / min(k, |held_out|).
double average_precision(const UserList& list, int64_t k) {
  const auto head = first(list.ranked, k);
  double hits = 0, sum = 0;
  for (size_t n = 0; n < head.size(); ++n) {
    if (contains(list.held_out, head[n])) sum += ++hits / static_cast<double>(n + 1);
  }
  return sum / static_cast<double>(std::min(static_cast<size_t>(k), list.held_out.size()));
}

/// Mean self-information of the listed items. An item without a training user counts as one of one user.
double self_information(const UserList& list, int64_t k) {
  const auto head = first(list.ranked, k);
  double sum = 0;
  for (const int32_t item : head) {
    const auto users = static_cast<double>(std::max<int64_t>(list.counts->users[static_cast<size_t>(item)], 1));
    sum -= std::log2(users / static_cast<double>(list.counts->num_users));
  }
  return head.empty() ? 0 : sum / static_cast<double>(head.size());
}

double share_listed(std::span<const int64_t> listed) {
  const auto some = std::ranges::count_if(listed, [](int64_t lists) { return lists > 0; });
  return listed.empty() ? 0 : static_cast<double>(some) / static_cast<double>(listed.size());
}

double recall(const UserList& list, int64_t k) { return recall_at_k(list.ranked, list.held_out, k); }

double ndcg(const UserList& list, int64_t k) { return ndcg_at_k(list.ranked, list.held_out, k); }

double hit(const UserList& list, int64_t k) { return std::min(hits_at_k(list, k), 1.0); }

double precision(const UserList& list, int64_t k) { return hits_at_k(list, k) / static_cast<double>(k); }

/// Harmonic mean of precision and hits / held-out.
double f1(const UserList& list, int64_t k) {
  return 2 * hits_at_k(list, k) / static_cast<double>(k + std::ssize(list.held_out));
}

// clang-format off
constexpr Metric kMetrics[] = {
    {"recall", recall, nullptr, Needs::kHeldOut, "hits / min(K, held-out)"},
    {"ndcg", ndcg, nullptr, Needs::kHeldOut, "gain / gain of min(K, held-out) hits at the top"},
    {"hit", hit, nullptr, Needs::kHeldOut, "1 if any hit"},
    {"mrr", reciprocal_rank, nullptr, Needs::kHeldOut, "1 / rank of the first hit, 0 beyond K"},
    {"map", average_precision, nullptr, Needs::kHeldOut, "sum of the precision at hits / min(K, held-out)"},
    {"precision", precision, nullptr, Needs::kHeldOut, "hits / K"},
    {"novelty", self_information, nullptr, Needs::kCounts, "mean over a list of -log2(users of an item / users)"},
    {"f1", f1, nullptr, Needs::kHeldOut, "2 hits / (K + held-out)"},
    {"coverage", nullptr, share_listed, Needs::kNothing, "items in any list / items"},
};
// clang-format on

/// Levenshtein's distance.
size_t distance(std::string_view a, std::string_view b) {
  std::vector<size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), size_t{0});
  for (size_t i = 0; i < a.size(); ++i) {
    size_t diagonal = std::exchange(row[0], i + 1);
    for (size_t j = 0; j < b.size(); ++j)
      diagonal = std::exchange(row[j + 1], std::min({row[j] + 1, row[j + 1] + 1, diagonal + (a[i] != b[j])}));
  }
  return row.back();
}

const Metric* find(std::string_view name) {
  const auto found = std::ranges::find(kMetrics, name, &Metric::name);
  return found == std::end(kMetrics) ? nullptr : &*found;
}

const Metric& nearest(std::string_view name) {
  return *std::ranges::min_element(kMetrics, {}, [&](const Metric& metric) { return distance(metric.name, name); });
}

std::string known_names() {
  std::string out;
  for (const Metric& metric : kMetrics) out += (out.empty() ? "" : ", ") + std::string(metric.name);
  return out;
}

}  // namespace

double recall_at_k(std::span<const int32_t> ranked, std::span<const int32_t> held_out, int64_t k) {
  const auto hits = std::ranges::count_if(first(ranked, k), [&](int32_t item) { return contains(held_out, item); });
  return static_cast<double>(hits) / static_cast<double>(std::min<int64_t>(k, static_cast<int64_t>(held_out.size())));
}

double ndcg_at_k(std::span<const int32_t> ranked, std::span<const int32_t> held_out, int64_t k) {
  const std::span<const int32_t> head = first(ranked, k);
  double gain = 0, ideal = 0;
  for (size_t n = 0; n < head.size(); ++n) gain += contains(held_out, head[n]) ? discount(n) : 0;
  for (size_t n = 0; n < std::min(static_cast<size_t>(k), held_out.size()); ++n) ideal += discount(n);
  return gain / ideal;
}

std::span<const Metric> metrics() { return kMetrics; }

std::string MetricAt::name() const { return std::string(metric->name) + "@" + std::to_string(k); }

MetricAt parse_metric(const std::string& text, const std::string& where) {
  const size_t at = std::min(text.find('@'), text.size());
  const std::string_view name = std::string_view(text).substr(0, at);
  const Metric* const known = find(name);
  const std::string start = where + ": \"" + text + "\" is no metric; ";
  if (known == nullptr) {
    const std::string near(nearest(name).name);
    const std::string k = at == text.size() ? "@20" : text.substr(at);
    throw ModelError(start + "the nearest is " + near + k + " (there are " + known_names() + ", each with @K)");
  }
  int64_t k = 0;
  const char* const end = text.data() + text.size();
  if (at == text.size())
    throw ModelError(start + "add the length of the lists, e.g. " + std::string(known->name) + "@20");
  const auto [stop, error] = std::from_chars(text.data() + at + 1, end, k);
  if (error != std::errc() || stop != end || k < 1)
    throw ModelError(start + "K is a number from 1, e.g. " + std::string(known->name) + "@20");
  return {known, k};
}

MetricList MetricList::parse(std::span<const std::string> names, const std::string& where) {
  MetricList out;
  for (const std::string& name : names) out.add(parse_metric(name, where));
  return out;
}

MetricList::MetricList(const std::vector<int64_t>& recall_k, const std::vector<int64_t>& ndcg_k) {
  for (const int64_t k : recall_k) add({find("recall"), k});
  for (const int64_t k : ndcg_k) add({find("ndcg"), k});
}

void MetricList::add(MetricAt metric) {
  if (std::ranges::find(metrics_, metric) == metrics_.end()) metrics_.push_back(metric);
}

int64_t MetricList::longest() const {
  int64_t longest = 0;
  for (const MetricAt& metric : metrics_) longest = std::max(longest, metric.k);
  return longest;
}

bool MetricList::needs_counts() const {
  return std::ranges::any_of(metrics_, [](const MetricAt& at) { return at.metric->needs == Needs::kCounts; });
}

std::vector<std::string> MetricList::names() const {
  std::vector<std::string> out;
  for (const MetricAt& metric : metrics_) out.push_back(metric.name());
  return out;
}

MetricList MetricList::per_user() const {
  MetricList out;
  for (const MetricAt& at : metrics_) {
    if (at.metric->of_user != nullptr) out.add(at);
  }
  return out;
}

MetricList MetricList::of_held_out() const {
  MetricList out;
  for (const MetricAt& at : metrics_) {
    if (at.metric->needs == Needs::kHeldOut) out.add(at);
  }
  return out;
}

std::vector<double> MetricList::of_user(std::span<const int32_t> ranked, std::span<const int32_t> held_out,
                                        const ItemCounts* counts) const {
  std::vector<double> out;
  for (const MetricAt& at : metrics_) {
    if (at.metric->of_user != nullptr) out.push_back(at.metric->of_user({ranked, held_out, counts}, at.k));
  }
  return out;
}

MetricMean::MetricMean(MetricList metrics, int64_t num_items, const ItemCounts* counts)
    : metrics_(std::move(metrics)), per_user_(metrics_.per_user()), counts_(counts), sums_(per_user_.all().size(), 0.0),
      listed_(metrics_.all().size() - sums_.size(), std::vector<int64_t>(static_cast<size_t>(num_items))) {}

void MetricMean::add(std::span<const int32_t> ranked, std::span<const int32_t> held_out) {
  if (held_out.empty()) return;
  const std::vector<double> user = per_user_.of_user(ranked, held_out, counts_);
  for (size_t n = 0; n < user.size(); ++n) sums_[n] += user[n];
  ++num_users_;
  auto listed = listed_.begin();
  for (const MetricAt& at : metrics_.all()) {
    if (at.metric->of_lists == nullptr) continue;
    for (const int32_t item : first(ranked, at.k)) ++listed->at(static_cast<size_t>(item));
    ++listed;
  }
}

void MetricMean::all_reduce(Communicator& comm) {
  at::Tensor packed = at::empty({static_cast<int64_t>(sums_.size()) + 1}, at::kDouble);
  double* const values = packed.mutable_data_ptr<double>();
  std::copy(sums_.begin(), sums_.end(), values);
  values[sums_.size()] = static_cast<double>(num_users_);
  comm.all_reduce(packed, ReduceOp::kSum);
  const double* const summed = packed.const_data_ptr<double>();
  std::copy_n(summed, sums_.size(), sums_.begin());
  num_users_ = static_cast<int64_t>(summed[sums_.size()]);
  for (std::vector<int64_t>& listed : listed_) {
    at::Tensor lists = at::empty({static_cast<int64_t>(listed.size())}, at::kLong);
    std::ranges::copy(listed, lists.mutable_data_ptr<int64_t>());
    comm.all_reduce(lists, ReduceOp::kSum);
    std::copy_n(lists.const_data_ptr<int64_t>(), listed.size(), listed.begin());
  }
}

std::vector<double> MetricMean::values() const {
  std::vector<double> out;
  auto sum = sums_.begin();
  auto listed = listed_.begin();
  for (const MetricAt& at : metrics_.all()) {
    if (at.metric->of_lists != nullptr) {
      out.push_back(at.metric->of_lists(*listed++));
    } else {
      const double total = *sum++;
      out.push_back(num_users_ > 0 ? total / static_cast<double>(num_users_) : 0);
    }
  }
  return out;
}

}  // namespace cllm
