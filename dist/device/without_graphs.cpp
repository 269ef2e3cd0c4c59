// Recording in a build without CUDA: the pieces themselves are played.
#include "dist/device/graph_recorder.h"

namespace cllm {

struct GraphRecorder::Impl {};
GraphRecorder::GraphRecorder(at::Device) {}
GraphRecorder::~GraphRecorder() = default;
std::vector<GraphRecorder::Piece> GraphRecorder::record(const std::vector<Piece>& pieces) { return pieces; }

}  // namespace cllm
