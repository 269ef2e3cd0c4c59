#include "data/sampling/assign.h"

#include <algorithm>
#include <functional>
#include <numeric>
#include <queue>
#include <utility>

namespace cllm {

std::vector<int> assign_balanced(std::span<const int64_t> lengths, int num_ranks) {
  std::vector<size_t> longest_first(lengths.size());
  std::iota(longest_first.begin(), longest_first.end(), size_t{0});
  std::stable_sort(longest_first.begin(), longest_first.end(),
                   [&](size_t a, size_t b) { return lengths[a] > lengths[b]; });

  using Load = std::pair<int64_t, int>;  // tokens, rank
  std::priority_queue<Load, std::vector<Load>, std::greater<>> loads;
  for (int rank = 0; rank < num_ranks; ++rank) loads.emplace(0, rank);
  std::vector<int> ranks(lengths.size());
  for (const size_t n : longest_first) {
    const auto [tokens, rank] = loads.top();
    loads.pop();
    ranks[n] = rank;
    loads.emplace(tokens + lengths[n], rank);
  }
  return ranks;
}

std::vector<int> assign_round_robin(int64_t num_sequences, int num_ranks) {
  std::vector<int> ranks(static_cast<size_t>(num_sequences));
  for (size_t n = 0; n < ranks.size(); ++n) ranks[n] = static_cast<int>(n % static_cast<size_t>(num_ranks));
  return ranks;
}

}  // namespace cllm
