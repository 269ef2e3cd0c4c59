#pragma once

#include <stdexcept>

namespace cllm {

/// A backbone file or model option that a person can mend: what, where, value, what to do. Exit code 65.
class ModelError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// Options that do not go together or name what is not there. Exit code 64.
class OptionError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

}  // namespace cllm
