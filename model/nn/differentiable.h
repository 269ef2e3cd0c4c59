#pragma once

#include <ATen/core/Tensor.h>

#include <memory>
#include <utility>
#include <vector>

namespace cllm {

/// An operation with a hand-written gradient: a struct with its options and constants as members. libtorch's own header
/// for this (torch/csrc/autograd/custom_function.h) costs a file some 10 s of compilation; only differentiable.cpp
/// includes it.
class Differentiable {
 public:
  using Tensors = std::vector<at::Tensor>;
  struct Saved {
    Tensors tensors;           // what forward left
    std::vector<bool> wanted;  // by input: whether its gradient is asked for
  };

  virtual ~Differentiable() = default;
  /// The outputs. Inputs, outputs and intermediates that backward needs go into `saved`, never into members: an output
  /// that holds the operation which made it would live for ever.
  virtual Tensors forward(const Tensors& inputs, Tensors& saved) const = 0;
  /// The gradient of each input, undefined where there is none. The gradient of an output that took no part in the loss
  /// is undefined.
  virtual Tensors backward(const Saved& saved, const Tensors& gradients) const = 0;
};

/// Runs `operation` and, if gradients are on, records it.
/// Errors: c10::Error when a saved tensor was changed in place before backward.
Differentiable::Tensors apply(std::shared_ptr<const Differentiable> operation, const Differentiable::Tensors& inputs);

template <class Operation>
Differentiable::Tensors apply(Operation operation, const Differentiable::Tensors& inputs) {
  return apply(std::shared_ptr<const Differentiable>(std::make_shared<const Operation>(std::move(operation))), inputs);
}

}  // namespace cllm
