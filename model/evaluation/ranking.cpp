#include "model/evaluation/ranking.h"

#include <algorithm>
#include <cmath>
#include <utility>

namespace cllm {
namespace {

bool contains(std::span<const int32_t> ascending, int32_t item) {
  return std::binary_search(ascending.begin(), ascending.end(), item);
}

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

}  // namespace cllm
