#include "model/evaluation/ranking.h"

#include <ATen/ops/empty.h>

#include <algorithm>
#include <cmath>
#include <utility>

namespace cllm {
namespace {

bool contains(std::span<const int32_t> ascending, int32_t item) {
  return std::binary_search(ascending.begin(), ascending.end(), item);
}

std::span<const int32_t> first(std::span<const int32_t> ranked, int64_t k) {
  return ranked.first(std::min(ranked.size(), static_cast<size_t>(k)));
}

double discount(size_t index) { return 1 / std::log2(static_cast<double>(index) + 2); }

}  // namespace

template <typename T>
void TopK::add(std::span<const T> scores, std::span<const int32_t> masked, int64_t first_item) {
  constexpr size_t kChunk = 32;
  if (k_ == 0) return;
  for (size_t begin = 0; begin < scores.size(); begin += kChunk) {
    const size_t end = std::min(scores.size(), begin + kChunk);
    if (heap_.size() ==
        k_) {  // most chunks hold nothing: one comparison per item, no branch; items ascend, so a tie never enters
      const T worst = static_cast<T>(heap_.front().score);
      int better = 0;
      for (size_t n = begin; n < end; ++n) better += scores[n] > worst;
      if (better == 0) continue;
    }
    for (size_t n = begin; n < end; ++n) {
      const ScoredItem candidate{static_cast<int32_t>(first_item + static_cast<int64_t>(n)),
                                 static_cast<double>(scores[n])};
      if (std::isnan(candidate.score) || (heap_.size() == k_ && !(candidate < heap_.front())) ||
          contains(masked, candidate.item))
        continue;
      if (heap_.size() == k_) {
        std::pop_heap(heap_.begin(), heap_.end());
        heap_.pop_back();
      }
      heap_.push_back(candidate);
      std::push_heap(heap_.begin(), heap_.end());
    }
  }
}
template void TopK::add(std::span<const float>, std::span<const int32_t>, int64_t);
template void TopK::add(std::span<const double>, std::span<const int32_t>, int64_t);

std::vector<ScoredItem> TopK::take() {
  std::sort_heap(heap_.begin(), heap_.end());
  return std::exchange(heap_, {});
}

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

int64_t MetricChoice::longest() const {
  int64_t longest = 0;
  for (const int64_t k : recall) longest = std::max(longest, k);
  for (const int64_t k : ndcg) longest = std::max(longest, k);
  return longest;
}

std::vector<std::string> MetricChoice::names() const {
  std::vector<std::string> out;
  for (const int64_t k : recall) out.push_back("recall@" + std::to_string(k));
  for (const int64_t k : ndcg) out.push_back("ndcg@" + std::to_string(k));
  return out;
}

std::vector<double> MetricChoice::of_user(std::span<const int32_t> ranked, std::span<const int32_t> held_out) const {
  std::vector<double> out;
  for (const int64_t k : recall) out.push_back(recall_at_k(ranked, held_out, k));
  for (const int64_t k : ndcg) out.push_back(ndcg_at_k(ranked, held_out, k));
  return out;
}

void MetricMean::add(std::span<const int32_t> ranked, std::span<const int32_t> held_out) {
  if (held_out.empty()) return;
  const std::vector<double> user = choice_.of_user(ranked, held_out);
  for (size_t n = 0; n < user.size(); ++n) sums_[n] += user[n];
  ++num_users_;
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
}

std::vector<double> MetricMean::values() const {
  std::vector<double> out = sums_;
  for (double& value : out) value = num_users_ > 0 ? value / static_cast<double>(num_users_) : 0;
  return out;
}

}  // namespace cllm
