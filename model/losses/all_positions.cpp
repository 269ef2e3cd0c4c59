#include "model/losses/all_positions.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/stack.h>
#include <ATen/ops/tensor.h>

namespace cllm {

AllPositions gather_positions(Communicator& comm, const at::Tensor& hidden_AD, const Targets& targets) {
  const int R = comm.world_size();
  at::Tensor counts_R2 = at::empty({R, 2}, at::kLong);
  comm.all_gather(counts_R2, at::tensor({hidden_AD.size(0), targets.ids_K.size(0)}, at::kLong).view({1, 2}),
                  std::vector<int64_t>(R, 1));
  AllPositions all;
  int64_t A = 0, K = 0;
  for (int rank = 0; rank < R; ++rank) {
    if (rank == comm.rank()) {
      all.first_position = A;
      all.first_target = K;
    }
    all.positions.push_back(counts_R2[rank][0].item<int64_t>());
    all.targets.push_back(counts_R2[rank][1].item<int64_t>());
    A += all.positions.back();
    K += all.targets.back();
  }
  const auto gather = [&](const at::Tensor& mine, const std::vector<int64_t>& shape, const std::vector<int64_t>& rows) {
    at::Tensor out = at::empty(shape, mine.options());
    comm.all_gather(out, mine.contiguous(), rows);
    return out;
  };
  const FlatTargets mine = flatten(targets);
  all.hidden_AD = gather(hidden_AD, {A, hidden_AD.size(1)}, all.positions);
  const at::Tensor positions_K =
      (mine.position_K + all.first_position).to(at::kDouble);  // whole numbers: exact below 2^53
  const at::Tensor targets_K3 =
      gather(at::stack({positions_K, mine.row_K.to(at::kDouble), mine.weight_K}, 1), {K, 3}, all.targets);
  all.flat = {targets_K3.select(1, 0).to(at::kLong), targets_K3.select(1, 1).to(at::kLong),
              targets_K3.select(1, 2).contiguous()};
  return all;
}

}  // namespace cllm
