#include <ATen/ops/empty.h>

#include <algorithm>
#include <map>

#include "checkpoints/agreement.h"
#include "checkpoints/checkpoint.h"
#include "checkpoints/dtype.h"
#include "checkpoints/shard_file.h"

namespace cllm {
namespace {

/// Rows of one stored tensor that this rank wants, and where they go.
struct Request {
  const TensorEntry* stored;
  int64_t first_row;
  at::Tensor target;
};

std::string shape_text(const std::vector<int64_t>& shape) {
  std::string text = "[";
  for (const int64_t size : shape) text += (text.size() > 1 ? ", " : "") + std::to_string(size);
  return text + "]";
}

std::string describe(std::string_view dtype, const std::vector<int64_t>& shape) { return std::string(dtype) + " " + shape_text(shape); }

Request match(const CheckpointInfo& checkpoint, const ShardedTensor& wanted) {
  const auto& stored = checkpoint.manifest->tensors;
  const auto found = std::find_if(stored.begin(), stored.end(), [&](const TensorEntry& entry) { return entry.name == wanted.name; });
  const auto refuse = [&](const std::string& what) {
    throw CheckpointError(CheckpointError::kUnusable, checkpoint.dir.string() + ": tensor \"" + wanted.name + "\": " + what);
  };
  const DtypeName* dtype = find_dtype(wanted.rows.scalar_type());
  std::vector<int64_t> shape = wanted.rows.sizes().vec();
  shape[0] = wanted.global_rows;
  const std::string expected = describe(dtype == nullptr ? "a dtype that is not stored" : dtype->name, shape);
  if (found == stored.end()) refuse("expected " + expected + ", found none");
  if (dtype == nullptr || found->dtype != dtype->name || found->shape != shape) {
    refuse("expected " + expected + ", found " + describe(found->dtype, found->shape));
  }
  if (wanted.first_row < 0 || wanted.first_row + wanted.rows.size(0) > wanted.global_rows) refuse("the rows asked for lie outside it");
  return {&*found, wanted.first_row, wanted.rows};
}

std::vector<Request> match_all(const CheckpointInfo& checkpoint, const TrainState& into) {
  std::vector<Request> requests;
  for (const ShardedTensor& tensor : into.tensors) requests.push_back(match(checkpoint, tensor));
  for (const ReplicatedTensor& tensor : into.replicated) {
    requests.push_back(match(checkpoint, {tensor.name, tensor.value.size(0), 0, tensor.value}));
  }
  return requests;
}

/// Shards opened so far.
class Shards {
 public:
  explicit Shards(const CheckpointInfo& checkpoint) : checkpoint_(checkpoint) {}
  ShardReader& at(int shard) {
    return readers_.try_emplace(shard, checkpoint_.dir, checkpoint_.manifest->shards[shard]).first->second;
  }

 private:
  const CheckpointInfo& checkpoint_;
  std::map<int, ShardReader> readers_;
};

/// Copies the rows that the stored parts and the request have in common.
void fill(const Request& request, Shards& shards) {
  const bool direct = request.target.is_contiguous() && request.target.device().is_cpu();
  at::Tensor host = direct ? request.target : at::empty(request.target.sizes(), at::TensorOptions().dtype(request.target.scalar_type()));
  const int64_t row_bytes = request.stored->row_bytes();
  const int64_t end_row = request.first_row + host.size(0);
  auto* out = static_cast<std::byte*>(host.mutable_data_ptr());
  for (const TensorPart& part : request.stored->parts) {
    const int64_t begin = std::max(part.first_row, request.first_row);
    const int64_t end = std::min(part.first_row + part.rows, end_row);
    if (begin >= end || row_bytes == 0) continue;
    shards.at(part.shard).read(part.offset + (begin - part.first_row) * row_bytes, (end - begin) * row_bytes,
                               out + (begin - request.first_row) * row_bytes);
  }
  if (!direct) request.target.copy_(host);
}

}  // namespace

void load(Communicator& comm, const CheckpointInfo& checkpoint, TrainState& into) {
  std::vector<Request> requests;
  agree(comm, CheckpointError::kUnusable, [&] {
    requests = match_all(checkpoint, into);
    return std::string();
  });
  agree(comm, CheckpointError::kUnusable, [&] {
    Shards shards(checkpoint);
    for (const Request& request : requests) fill(request, shards);
    return std::string();
  });
  into.metadata_json = checkpoint.metadata_json;
}

}  // namespace cllm
