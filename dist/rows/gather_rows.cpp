#include "dist/rows/gather_rows.h"

#include <ATen/ops/empty.h>

#include <algorithm>

namespace cllm {

void for_each_row_block(Communicator& comm, const RowPartition& partition, const at::Tensor& local_rows,
                        int64_t block_rows, const std::function<void(const at::Tensor&, int64_t)>& visit) {
  std::vector<int64_t> sizes = local_rows.sizes().vec();
  for (int64_t first = 0; first < partition.num_rows(); first += block_rows) {
    const int64_t last = std::min(first + block_rows, partition.num_rows());
    std::vector<int64_t> rows;  // of this block, per rank
    for (int rank = 0; rank < comm.world_size(); ++rank) {
      rows.push_back(
          std::max<int64_t>(0, std::min(last, partition.end(rank)) - std::max(first, partition.begin(rank))));
    }
    const int64_t mine = rows[static_cast<size_t>(comm.rank())];
    const int64_t from = mine == 0 ? 0 : std::max(first, partition.begin(comm.rank())) - partition.begin(comm.rank());
    sizes[0] = last - first;
    at::Tensor block = at::empty(sizes, local_rows.options());
    comm.all_gather(block, local_rows.narrow(0, from, mine), rows);
    visit(block, first);
  }
}

}  // namespace cllm
