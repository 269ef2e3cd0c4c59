#pragma once

#include <stdexcept>
#include <string>

namespace cllm {

/// A checkpoint cannot be used (exit code 66) or cannot be written (74). The message names the file, what was expected
/// and found.
class CheckpointError : public std::runtime_error {
 public:
  static constexpr int kUnusable = 66;
  static constexpr int kCannotSave = 74;

  CheckpointError(int exit_code, const std::string& message) : std::runtime_error(message), exit_code_(exit_code) {}
  int exit_code() const { return exit_code_; }

 private:
  int exit_code_;
};

}  // namespace cllm
