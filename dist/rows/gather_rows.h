#pragma once

#include <ATen/core/Tensor.h>

#include <functional>

#include "dist/communicator/communicator.h"
#include "dist/row_partition.h"

namespace cllm {

/// Hands a sharded table to every rank block by block, in row order: block [n, D] (n <= block_rows) and the global row
/// of its first row. Memory: one block. Collective; `local_rows` [partition.size(rank), D].
void for_each_row_block(Communicator& comm, const RowPartition& partition, const at::Tensor& local_rows,
                        int64_t block_rows,
                        const std::function<void(const at::Tensor& block_ND, int64_t first_row)>& visit);

}  // namespace cllm
