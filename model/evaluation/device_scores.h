#pragma once

// Candidates of a ranking on a GPU. Letters: b users, J items of this rank, D width, C candidates.

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <functional>
#include <span>

namespace cllm::device {

/// Items that a user's list leaves out, ascending, counted from the first item of all.
using MaskedItems = std::function<std::span<const int32_t>(int64_t user)>;

/// What scoring.h wants of a rank, on the CPU and in no order: items_bC int64, counted from `first_item`, -1 where
/// there are no more; scores_bC fp64 dot products, summed in an order that depends on D alone.
struct Candidates {
  at::Tensor items_bC, scores_bC;
};

/// The C = min(count, J) best items of every user by the matrix product in fp32 (ties to the lower item), scored again
/// in fp64.
Candidates best_items(const at::Tensor& hidden_bD, const at::Tensor& items_JD, int64_t first_item,
                      const MaskedItems& masked, int64_t count);

}  // namespace cllm::device
