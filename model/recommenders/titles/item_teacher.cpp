#include "model/recommenders/titles/item_teacher.h"

#include <ATen/ops/empty.h>
#include <ATen/ops/tensor.h>

#include <numeric>
#include <vector>

namespace cllm {

at::Tensor ItemTeacher::logits(const HistoryLists& mine) {
  const HistoryTensors all = gather_histories(comm_, to_tensors(mine));
  const int R = comm_.world_size();
  std::vector<int64_t> positions(static_cast<size_t>(R));
  at::Tensor counts_R1 = at::empty({R, 1}, at::kLong);
  comm_.all_gather(counts_R1, at::tensor({std::ssize(mine.shown)}, at::kLong).view({1, 1}),
                   std::vector<int64_t>(static_cast<size_t>(R), 1));
  for (int rank = 0; rank < R; ++rank) positions[static_cast<size_t>(rank)] = counts_R1[rank].item<int64_t>();
  const int64_t first = std::accumulate(positions.begin(), positions.begin() + comm_.rank(), int64_t{0});

  labels_->start(comm_, all);
  const at::Tensor local_vA =
      labels_->logits({0, all.shown_A.size(0)}, {0, items_.size(comm_.rank())}).t().contiguous();
  at::Tensor all_JA = at::empty({items_.num_rows(), local_vA.size(1)}, local_vA.options());
  comm_.all_gather(all_JA, local_vA, items_.sizes());
  return all_JA.narrow(1, first, std::ssize(mine.shown)).t().to(at::kCPU, at::kDouble).contiguous();
}

}  // namespace cllm
