#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace cllm {

/// Rank of each sequence. Longest first, each to the rank with the fewest tokens so far (Graham 1969: at most 4/3 of
/// the best largest load); equal lengths in order, equal loads to the lower rank. Deterministic.
std::vector<int> assign_balanced(std::span<const int64_t> lengths, int num_ranks);

/// Sequence n goes to rank n mod num_ranks (preset `release`).
std::vector<int> assign_round_robin(int64_t num_sequences, int num_ranks);

}  // namespace cllm
