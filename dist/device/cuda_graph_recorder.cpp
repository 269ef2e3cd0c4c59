#include <ATen/cuda/CUDAEvent.h>
#include <ATen/cuda/CUDAGraph.h>
#include <c10/cuda/CUDACachingAllocator.h>
#include <c10/cuda/CUDAGuard.h>

#include "dist/device/graph_recorder.h"

namespace cllm {

struct GraphRecorder::Impl {
  explicit Impl(at::Device device) : stream(c10::cuda::getStreamFromPool(/*isHighPriority=*/false, device.index())) {}

  std::shared_ptr<at::cuda::CUDAGraph> record(const Piece& piece) {
    auto graph = std::make_shared<at::cuda::CUDAGraph>();
    graph->capture_begin(pool, cudaStreamCaptureModeThreadLocal);  // other threads may allocate meanwhile
    try {
      piece();
    } catch (...) {
      try {
        graph->capture_end();
      } catch (const std::exception&) {  // the first error tells more
      }
      throw;
    }
    graph->capture_end();
    return graph;
  }

  c10::cuda::CUDAStream
      stream;  // recording is refused on the default stream, and backward passes run on the stream of the forward pass
  at::MempoolId_t pool = at::cuda::graph_pool_handle();
};

GraphRecorder::GraphRecorder(at::Device device) : impl_(std::make_unique<Impl>(device)) {}
GraphRecorder::~GraphRecorder() = default;

std::vector<GraphRecorder::Piece> GraphRecorder::record(const std::vector<Piece>& pieces) {
  c10::cuda::getCurrentCUDAStream(impl_->stream.device_index()).synchronize();
  const c10::cuda::CUDAStreamGuard beside(impl_->stream);
  constexpr int kWarmUps = 2;  // libraries allocate and choose on their first calls
  for (int n = 0; n < kWarmUps; ++n) {
    for (const Piece& piece : pieces) piece();
  }
  impl_->stream.synchronize();
  c10::cuda::CUDACachingAllocator::emptyCache();  // what warming up took from this stream's memory is of no use to
                                                  // others
  std::vector<Piece> plays;
  for (const Piece& piece : pieces) {
    plays.emplace_back([graph = impl_->record(piece)] { graph->replay(); });
  }
  return plays;
}

}  // namespace cllm
