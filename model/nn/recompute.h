#pragma once

#include <ATen/core/Tensor.h>

#include <functional>
#include <utility>

namespace cllm {

/// A differentiable piece of a network from two tensors to two.
using Piece = std::function<std::pair<at::Tensor, at::Tensor>(const at::Tensor& x, const at::Tensor& n)>;

/// piece(x, n) whose graph is not kept: backward calls the piece again, on the same inputs, and goes through that
/// graph, so that of all its activations only x and n stay. The gradients, those in .grad of parameters that the piece
/// uses too, are the same bit for bit if the piece gives the same bits twice. The piece must keep alive what it uses.
std::pair<at::Tensor, at::Tensor> recomputed(const Piece& piece, const at::Tensor& x, const at::Tensor& n);

}  // namespace cllm
