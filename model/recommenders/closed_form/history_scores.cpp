#include "model/recommenders/closed_form/history_scores.h"

#include <ATen/ops/full.h>

#include <algorithm>
#include <cmath>

namespace cllm {
namespace {

/// One row that a list needs.
struct Wanted {
  size_t query;
  double weight;
};

/// The scores of the queries, one after the other.
class Lists {
 public:
  Lists(std::span<const RankingQuery> queries, int64_t num_items, int64_t k)
      : queries_(queries), scores_(static_cast<size_t>(num_items), 0.0), k_(k) {
    out_.reserve(queries.size());
  }

  /// `query` does not descend from call to call.
  void add(size_t query, double weight, const float* row) {
    finish_before(query);
    for (size_t item = 0; item < scores_.size(); ++item) scores_[item] += weight * static_cast<double>(row[item]);
  }
  std::vector<std::vector<ScoredItem>> take() {
    finish_before(queries_.size());
    return std::move(out_);
  }

 private:
  void finish_before(size_t query) {
    while (out_.size() < query) {
      TopK best(k_);
      best.add(std::span<const double>(scores_), queries_[out_.size()].masked);
      out_.push_back(best.take());
      std::ranges::fill(scores_, 0.0);
    }
  }

  std::span<const RankingQuery> queries_;
  std::vector<double> scores_;
  int64_t k_;
  std::vector<std::vector<ScoredItem>> out_;
};

}  // namespace

int64_t default_rows_at_a_time(int64_t num_items) {
  return std::max<int64_t>(1, (int64_t{64} << 20) / (4 * std::max<int64_t>(1, num_items)));
}

int64_t largest(Communicator& comm, int64_t value) {
  at::Tensor most = at::full({1}, value, at::kLong);
  comm.all_reduce(most, ReduceOp::kMax);
  return most.const_data_ptr<int64_t>()[0];
}

std::vector<std::vector<ScoredItem>> top_items_of_histories(const HostRanks& ranks, const Table& table,
                                                            std::span<const RankingQuery> queries, int64_t k,
                                                            double recency, int64_t rows_at_a_time) {
  std::vector<int32_t> rows;
  std::vector<Wanted> wanted;
  for (size_t query = 0; query < queries.size(); ++query) {
    const std::vector<int32_t>& history = queries[query].history;
    for (size_t place = 0; place < history.size(); ++place) {
      rows.push_back(history[place]);
      wanted.push_back({query, std::pow(recency, static_cast<double>(history.size() - 1 - place))});
    }
  }
  const auto total = static_cast<int64_t>(rows.size());
  const int64_t rounds = largest(ranks.comm(), (total + rows_at_a_time - 1) / rows_at_a_time);
  RowExchange exchange = ranks.exchange(table.layout);
  Lists lists(queries, table.width(), k);
  for (int64_t round = 0; round < rounds; ++round) {
    const int64_t first = std::min(round * rows_at_a_time, total), last = std::min(first + rows_at_a_time, total);
    const auto part = std::span(rows).subspan(static_cast<size_t>(first), static_cast<size_t>(last - first));
    const Route route = exchange.route(part);
    const at::Tensor fetched = exchange.fetch(route, table.weight);
    const auto* const values = fetched.const_data_ptr<float>();
    const auto* const place = route.inverse_T.const_data_ptr<int64_t>();
    for (int64_t n = first; n < last; ++n) {
      const Wanted& row = wanted[static_cast<size_t>(n)];
      lists.add(row.query, row.weight, values + place[n - first] * table.width());
    }
  }
  return lists.take();
}

}  // namespace cllm
