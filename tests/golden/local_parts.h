#pragma once

#include "model/kernels/rows/row_gradient.h"
#include "tests/golden/golden_set.h"
#include "tests/golden/parity_report.h"

namespace cllm::golden {

/// The rows of a padded golden tensor [B, T, ...] that are no padding, for the sequences of this rank (every
/// world_size-th).
at::Tensor unpadded(const at::Tensor& padded, const at::Tensor& mask_BT, const Communicator& comm);

/// The gradients of a table's shard as a whole: rows that were not touched are 0.
at::Tensor whole_shard(const kernels::RowGradient& gradient, const Table& table);

/// The shard of a side's two tables beside `<name>/<side>_user` and `<name>/<side>_item` of the truth.
void compare_tables(ParityReport& report, const std::string& name, const std::string& side, const at::Tensor& local,
                    const SafetensorsFile& truth, const RowLayout& layout, double tolerance);

}  // namespace cllm::golden
