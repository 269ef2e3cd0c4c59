#include "model/losses/soft_labels.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/cumsum.h>
#include <ATen/ops/diff.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/stack.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/zeros.h>

namespace cllm {

HistoryTensors to_tensors(const HistoryLists& lists) {
  return {at::tensor(lists.users, at::kLong), at::tensor(lists.offsets, at::kLong),
          at::tensor(lists.items, at::kLong), at::tensor(lists.sequence, at::kLong),
          at::tensor(lists.shown, at::kLong), at::tensor(lists.rest_weight, at::kDouble)};
}

HistoryTensors gather_histories(Communicator& comm, const HistoryTensors& mine) {
  const int R = comm.world_size();
  at::Tensor counts_R3 = at::empty({R, 3}, at::kLong);
  comm.all_gather(
      counts_R3,
      at::tensor({mine.users_B.size(0), mine.items_M.size(0), mine.sequence_A.size(0)}, at::kLong).view({1, 3}),
      std::vector<int64_t>(static_cast<size_t>(R), 1));
  std::vector<int64_t> sequences, items, positions;
  int64_t first_sequence = 0;
  for (int rank = 0; rank < R; ++rank) {
    if (rank < comm.rank()) first_sequence += counts_R3[rank][0].item<int64_t>();
    sequences.push_back(counts_R3[rank][0].item<int64_t>());
    items.push_back(counts_R3[rank][1].item<int64_t>());
    positions.push_back(counts_R3[rank][2].item<int64_t>());
  }
  const at::Tensor all_3 = counts_R3.sum(0);
  const auto gather = [&](const at::Tensor& in, int64_t columns, const std::vector<int64_t>& rows, int64_t n) {
    at::Tensor out = at::empty({all_3[n].item<int64_t>(), columns}, in.options());
    comm.all_gather(out, in.contiguous(), rows);
    return out;
  };
  const at::Tensor lists = gather(at::stack({mine.users_B, at::diff(mine.offsets_B1)}, 1), 2, sequences, 0);
  const at::Tensor shown_items = gather(mine.items_M.unsqueeze(1), 1, items, 1).squeeze(1);
  const at::Tensor seen = gather(  // whole numbers: exact below 2^53
      at::stack({(mine.sequence_A + first_sequence).to(at::kDouble), mine.shown_A.to(at::kDouble), mine.rest_weight_A},
                1),
      3, positions, 2);
  return {lists.select(1, 0).contiguous(),
          at::cat({at::zeros({1}, at::kLong), at::cumsum(lists.select(1, 1), 0)}),
          shown_items,
          seen.select(1, 0).to(at::kLong).contiguous(),
          seen.select(1, 1).to(at::kLong).contiguous(),
          seen.select(1, 2).contiguous()};
}

}  // namespace cllm
