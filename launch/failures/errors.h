#pragma once

#include <stdexcept>

namespace cllm {

/// A setting or command line that a person can mend: file:line (or the override), the key, the value, what is allowed.
/// Exit code 64.
class ConfigError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// Several restarts without a new checkpoint. Exit code 78: do not requeue.
class NoProgressError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

}  // namespace cllm
