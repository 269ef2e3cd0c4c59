#include "model/backbones/file_tensor.h"

#include <fstream>
#include <memory>

#include "model/errors.h"

namespace cllm {
namespace {

/// Words, then the extra rows in their order, fp32.
std::unique_ptr<FileTensor> with_rows(const std::filesystem::path& path, const at::Tensor& words_ND,
                                      const std::vector<at::Tensor>& extra_rows) {
  int64_t first = words_ND.size(0);
  auto out = std::make_unique<FileTensor>(path, first + num_rows(extra_rows), words_ND.size(1), at::kFloat);
  out->tensor().narrow(0, 0, first).copy_(words_ND.detach());
  for (const at::Tensor& rows : extra_rows) {
    out->tensor().narrow(0, first, rows.size(0)).copy_(rows);
    first += rows.size(0);
  }
  return out;
}

}  // namespace

int64_t num_rows(const std::vector<at::Tensor>& extra_rows) {
  int64_t sum = 0;
  for (const at::Tensor& rows : extra_rows) sum += rows.size(0);
  return sum;
}

void save_model(const std::string& dir, const std::string& config, const NamedTensors& tensors,
                const std::set<std::string>& tables, const std::vector<at::Tensor>& extra_rows) {
  std::filesystem::create_directories(dir);
  std::ofstream file(dir + "/config.json");
  file << config;
  if (!file.flush()) throw ModelError(dir + "/config.json: cannot write");
  std::vector<std::unique_ptr<FileTensor>> files;
  NamedTensors saved;
  for (const auto& [name, tensor] : tensors) {
    if (!extra_rows.empty() && tables.contains(name)) {
      files.push_back(with_rows(std::filesystem::path(dir) / (name + ".scratch"), tensor, extra_rows));
      saved.emplace_back(name, files.back()->tensor());
    } else {
      saved.emplace_back(name, extra_rows.empty() ? tensor : tensor.detach().to(at::kFloat));
    }
  }
  write_safetensors(dir + "/model.safetensors", saved, {{"format", "pt"}});
}

}  // namespace cllm
