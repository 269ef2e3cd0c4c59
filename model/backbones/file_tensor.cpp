#include "model/backbones/file_tensor.h"

namespace cllm {

std::unique_ptr<FileTensor> with_rows(const std::filesystem::path& path, const at::Tensor& words_ND,
                                      const std::vector<at::Tensor>& extra_rows) {
  int64_t num_rows = words_ND.size(0);
  for (const at::Tensor& rows : extra_rows) num_rows += rows.size(0);
  auto out = std::make_unique<FileTensor>(path, num_rows, words_ND.size(1), at::kFloat);
  out->tensor().narrow(0, 0, words_ND.size(0)).copy_(words_ND.detach());
  int64_t first = words_ND.size(0);
  for (const at::Tensor& rows : extra_rows) {
    out->tensor().narrow(0, first, rows.size(0)).copy_(rows);
    first += rows.size(0);
  }
  return out;
}

}  // namespace cllm
