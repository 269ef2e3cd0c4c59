#pragma once

#include <stdexcept>

namespace cllm {

/// A collective failed or a peer is gone: the message names the operation, rank, bytes and elapsed seconds. Exit
/// code 71.
class CommError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// No GPU for this rank. A person can mend it, before the run starts.
class DeviceError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

}  // namespace cllm
