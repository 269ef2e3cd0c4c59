#include "tests/golden/local_parts.h"

#include <ATen/ops/cat.h>
#include <ATen/ops/zeros_like.h>

#include "tests/support/gradient_sum.h"

namespace cllm::golden {

at::Tensor unpadded(const at::Tensor& padded, const at::Tensor& mask_BT, const Communicator& comm) {
  std::vector<at::Tensor> rows;
  for (int64_t b = comm.rank(); b < mask_BT.size(0); b += comm.world_size()) {
    rows.push_back(padded[b].narrow(0, 0, mask_BT[b].sum().item<int64_t>()));
  }
  return rows.empty() ? padded.flatten(0, 1).narrow(0, 0, 0) : at::cat(rows);
}

at::Tensor whole_shard(const kernels::RowGradient& gradient, const Table& table) {
  return at::zeros_like(table.weight).index_copy_(0, gradient.rows_M, testing::gradient_sum(gradient, table.weight));
}

void compare_tables(ParityReport& report, const std::string& name, const std::string& side, const at::Tensor& local,
                    const SafetensorsFile& truth, const RowLayout& layout, double tolerance) {
  int64_t first = 0;
  for (const auto& [group, rows] : {std::pair{"_user", layout.users()}, std::pair{"_item", layout.items()}}) {
    const std::string tensor = name + "/" + side + group;
    const at::Tensor whole = truth.tensor(tensor);
    const int64_t begin = rows.begin(layout.rank()), count = rows.end(layout.rank()) - begin;
    report.compare(tensor, local.narrow(0, first, count), whole.narrow(0, begin, count), whole, tolerance);
    first += count;
  }
}

}  // namespace cllm::golden
