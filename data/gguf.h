#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

namespace cllm {

/// A memory-mapped GGUF file (version 2 or 3, little endian): metadata and where tensors lie. Everything is checked on
/// opening against the file's size; every defect is a DataError of one line (file, key or tensor, value).
class GgufFile {
 public:
  explicit GgufFile(const std::string& path);

  struct TensorInfo {
    std::vector<int64_t> shape;  // as PyTorch: the last dimension is the fastest
    uint32_t type = 0;           // ggml's number
    uint64_t offset = 0;         // of its first byte in the file
  };

  const std::string& path() const { return path_; }
  /// All keys with their values; arrays are arrays.
  const nlohmann::json& metadata() const { return metadata_; }
  bool has(const std::string& key) const { return metadata_.contains(key); }
  /// The value, or `otherwise` if the key is absent; DataError for one of another kind.
  int64_t count(const std::string& key, int64_t otherwise) const;
  double number(const std::string& key, double otherwise) const;
  bool flag(const std::string& key, bool otherwise) const;
  std::string text(const std::string& key, const std::string& otherwise) const;
  [[noreturn]] void refuse(const std::string& what) const;

  const std::map<std::string, TensorInfo>& tensors() const { return tensors_; }
  /// `size` bytes at `offset`; DataError if the file is shorter. `what` is named then.
  std::string_view bytes(uint64_t offset, uint64_t size, const std::string& what) const;

 private:
  std::string path_;
  uint64_t size_ = 0;  // is set by what makes the mapping: stands before it
  std::shared_ptr<const char> mapping_;
  nlohmann::json metadata_ = nlohmann::json::object();
  std::map<std::string, TensorInfo> tensors_;
};

}  // namespace cllm
