#pragma once

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <stdexcept>
#include <string>

#include "data/text/tokenizer.h"

namespace cllm::testing {

/// A file beside the project (golden values, tokenizers, data). A test that needs one must fail without it.
inline std::filesystem::path shared(const std::string& path) {
  const char* root = std::getenv("CLLM_SHARED");
  const std::filesystem::path file = std::filesystem::path(root ? root : CLLM_SOURCE_DIR "/../shared") / path;
  if (!std::filesystem::exists(file))
    throw std::runtime_error(file.string() + " is missing: set CLLM_SHARED to the shared folder");
  return file;
}

inline nlohmann::json shared_json(const std::string& path) {
  return nlohmann::json::parse(std::ifstream(shared(path)));
}

inline const Tokenizer& gpt2() {
  static const Tokenizer tokenizer = Tokenizer::load(shared("tokenizers/gpt2"));
  return tokenizer;
}

/// A folder of one test, empty at its start, removed at its end.
class TemporaryFolder {
 public:
  TemporaryFolder() {
    std::string name = (std::filesystem::temp_directory_path() / "cllm_test_XXXXXX").string();
    if (mkdtemp(name.data()) == nullptr) throw std::runtime_error("mkdtemp failed");
    path_ = name;
  }
  ~TemporaryFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;

  std::filesystem::path write(const std::string& name, const std::string& bytes) const {
    std::ofstream(path_ / name, std::ios::binary) << bytes;
    return path_ / name;
  }
  std::string read(const std::string& name) const {
    std::ifstream file(path_ / name, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
  }
  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

}  // namespace cllm::testing
