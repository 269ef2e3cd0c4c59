#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace cllm {

using NamedTensors = std::vector<std::pair<std::string, at::Tensor>>;

/// A memory-mapped safetensors file. The header is checked completely on opening; every defect is a ModelError of one
/// line. Tensors are views of a private copy-on-write mapping: ranks of a host share the page cache, and writing to a
/// tensor never changes the file.
class SafetensorsFile {
 public:
  /// `sequential`: ask the kernel to read the whole file ahead (the first reader of a host).
  explicit SafetensorsFile(const std::string& path, bool sequential = false);

  const std::string& path() const { return path_; }
  /// In the order of their bytes.
  std::vector<std::string> names() const;
  bool contains(const std::string& name) const { return entries_.contains(name); }
  /// A view that keeps the mapping alive; ModelError if there is no such tensor.
  at::Tensor tensor(const std::string& name) const;
  /// Whether a tensor() is a view of the file, and not a copy because the file does not align it.
  bool maps(const at::Tensor& tensor) const {
    const auto* const data = static_cast<const char*>(tensor.const_data_ptr());
    return !std::less<>()(data, mapping_.get()) && std::less<>()(data, mapping_.get() + mapped_bytes_);
  }
  const std::map<std::string, std::string>& metadata() const { return metadata_; }

  struct Entry {
    at::ScalarType dtype;
    std::vector<int64_t> shape;
    uint64_t begin, end;  // bytes after the header
  };

 private:
  std::string path_;
  std::shared_ptr<char> mapping_;
  uint64_t mapped_bytes_ = 0, data_begin_ = 0;
  std::map<std::string, Entry> entries_;
  std::map<std::string, std::string> metadata_;
};

/// Writes tensors (any device, any of the format's dtypes) durably: temporary file, sync, rename. Same input, same
/// bytes: tensors are ordered by element size (large first, which keeps them aligned) and name.
void write_safetensors(const std::string& path, const NamedTensors& tensors,
                       const std::map<std::string, std::string>& metadata = {});

}  // namespace cllm
