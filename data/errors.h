#pragma once

#include <stdexcept>

namespace cllm {

/// Input that a person can mend: the message says what, where (file:line or file and key), the value, and what to do.
/// Exit code 65.
class DataError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

}  // namespace cllm
