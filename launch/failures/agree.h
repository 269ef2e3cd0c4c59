#pragma once

#include <functional>
#include <string>

#include "dist/communicator/communicator.h"

namespace cllm {

/// A failure that every rank knows of: all end in order, with the same exit code, and only the first failing rank has a
/// line to print.
class AgreedFailure : public std::exception {
 public:
  AgreedFailure(int exit_code, std::string line) : exit_code_(exit_code), line_(std::move(line)) {}
  const char* what() const noexcept override { return line_.c_str(); }
  int exit_code() const { return exit_code_; }

 private:
  int exit_code_;
  std::string line_;
};

/// Runs `work`, which must not communicate, on every rank. If it throws anywhere, every rank throws AgreedFailure.
/// Collective.
void collectively(Communicator& comm, const std::function<void()>& work);

/// Runs collective `work`. If it throws, on every rank or on some, every rank throws AgreedFailure, so that one line is
/// printed. Lost peers (CommError) are no agreement: that passes through. Collective.
void together(Communicator& comm, const std::function<void()>& work);

}  // namespace cllm
