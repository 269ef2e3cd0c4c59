#pragma once

#include <ATen/core/Tensor.h>

#include <functional>
#include <memory>
#include <vector>

namespace cllm {

/// Records work of a GPU, to play it again by one call of the host instead of one per kernel (CUDA graphs). For work of
/// many short kernels, which a GPU finishes faster than the host starts them.
class GraphRecorder {
 public:
  using Piece = std::function<void()>;

  explicit GraphRecorder(at::Device device);
  ~GraphRecorder();
  GraphRecorder(const GraphRecorder&) = delete;
  GraphRecorder& operator=(const GraphRecorder&) = delete;

  /// Runs the pieces in turn to warm up, then records them in turn. The results play what was recorded, on the current
  /// stream; play them in the same turn, and all of them before those of another record() call: what a piece leaves for
  /// the next one is in memory that they share. A piece only starts kernels, never waits for the device, and reads and
  /// writes tensors of others in place, since their addresses are recorded. Where there is no GPU a result is its
  /// piece.
  std::vector<Piece> record(const std::vector<Piece>& pieces);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace cllm
