#include <ATen/ops/empty.h>

#include "checkpoints/agreement.h"
#include "checkpoints/checkpoint.h"
#include "checkpoints/format/dtype.h"
#include "checkpoints/row_reader.h"

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

std::string describe(std::string_view dtype, const std::vector<int64_t>& shape) {
  return std::string(dtype) + " " + shape_text(shape);
}

Request match(const CheckpointInfo& checkpoint, const ShardedTensor& wanted) {
  const TensorEntry* const found = find_tensor(*checkpoint.manifest, wanted.name);
  const auto refuse = [&](const std::string& what) {
    throw CheckpointError(CheckpointError::kUnusable,
                          checkpoint.dir.string() + ": tensor \"" + wanted.name + "\": " + what);
  };
  const DtypeName* dtype = find_dtype(wanted.rows.scalar_type());
  std::vector<int64_t> shape = wanted.rows.sizes().vec();
  shape[0] = wanted.global_rows;
  const std::string expected = describe(dtype == nullptr ? "a dtype that is not stored" : dtype->name, shape);
  if (found == nullptr) refuse("expected " + expected + ", found none");
  if (dtype == nullptr || found->dtype != dtype->name || found->shape != shape) {
    refuse("expected " + expected + ", found " + describe(found->dtype, found->shape));
  }
  if (wanted.first_row < 0 || wanted.first_row + wanted.rows.size(0) > wanted.global_rows)
    refuse("the rows asked for lie outside it");
  return {found, wanted.first_row, wanted.rows};
}

std::vector<Request> match_all(const CheckpointInfo& checkpoint, const TrainState& into) {
  std::vector<Request> requests;
  for (const ShardedTensor& tensor : into.tensors) requests.push_back(match(checkpoint, tensor));
  for (const ReplicatedTensor& tensor : into.replicated) {
    requests.push_back(match(checkpoint, {tensor.name, tensor.value.size(0), 0, tensor.value}));
  }
  return requests;
}

void fill(const Request& request, RowReader& reader) {
  const bool direct = request.target.is_contiguous() && request.target.device().is_cpu();
  at::Tensor host = direct ? request.target
                           : at::empty(request.target.sizes(), at::TensorOptions().dtype(request.target.scalar_type()));
  reader.read(*request.stored, request.first_row, host.size(0), static_cast<std::byte*>(host.mutable_data_ptr()));
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
    RowReader reader(checkpoint);
    for (const Request& request : requests) fill(request, reader);
    return std::string();
  });
  into.metadata_json = checkpoint.metadata_json;
}

}  // namespace cllm
