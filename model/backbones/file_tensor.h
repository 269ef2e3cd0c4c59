#pragma once

#include <ATen/core/Tensor.h>
#include <ATen/ops/from_file.h>

#include <filesystem>
#include <memory>
#include <system_error>
#include <vector>

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

/// Words, then the extra rows in their order, in fp32 in a scratch file.
std::unique_ptr<FileTensor> with_rows(const std::filesystem::path& path, const at::Tensor& words_ND,
                                      const std::vector<at::Tensor>& extra_rows);

}  // namespace cllm
