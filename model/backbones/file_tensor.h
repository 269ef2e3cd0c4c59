#pragma once

#include <ATen/core/Tensor.h>
#include <ATen/ops/from_file.h>

#include <filesystem>
#include <set>
#include <string>
#include <system_error>
#include <vector>

#include "model/backbones/safetensors.h"

namespace cllm {

/// A tensor [rows, width] whose memory is a scratch file, removed with it: tables of any size can be put together and
/// written without as much memory.
class FileTensor {
 public:
  FileTensor(const std::filesystem::path& path, int64_t rows, int64_t width, at::ScalarType dtype)
      : path_(path), tensor_(at::from_file(path.string(), /*shared=*/true, rows * width, dtype).view({rows, width})) {}
  ~FileTensor() {
    std::error_code ignored;
    std::filesystem::remove(path_, ignored);
  }
  FileTensor(const FileTensor&) = delete;
  FileTensor& operator=(const FileTensor&) = delete;
  const at::Tensor& tensor() const { return tensor_; }

 private:
  std::filesystem::path path_;
  at::Tensor tensor_;
};

/// Writes `<dir>/config.json` (the text `config`) and model.safetensors. With extra rows all becomes fp32, and they
/// stand behind those of the `tables`, which are put together in scratch files.
void save_model(const std::string& dir, const std::string& config, const NamedTensors& tensors,
                const std::set<std::string>& tables, const std::vector<at::Tensor>& extra_rows);

/// Of all of them together.
int64_t num_rows(const std::vector<at::Tensor>& extra_rows);

}  // namespace cllm
