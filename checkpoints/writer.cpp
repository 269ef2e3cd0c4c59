#include "checkpoints/writer.h"

#include <ATen/Parallel.h>
#include <ATen/ops/empty.h>

#include <algorithm>
#include <cstring>
#include <thread>

namespace cllm {
namespace {

/// memcpy writes past the caches; Tensor::copy_ reads the lines that it overwrites first and needs 1.7 times as long.
void copy_bytes(std::byte* to, const std::byte* from, size_t num_bytes) {
  constexpr size_t kWorthAThread = size_t{16} << 20;
  const size_t num_threads =
      std::clamp<size_t>(num_bytes / kWorthAThread, 1, static_cast<size_t>(at::get_num_threads()));
  const auto begin = [&](size_t thread) { return num_bytes * thread / num_threads; };
  const auto copy = [&](size_t n) { std::memcpy(to + begin(n), from + begin(n), begin(n + 1) - begin(n)); };
  std::vector<std::jthread> others;
  for (size_t n = 1; n < num_threads; ++n) others.emplace_back(copy, n);
  copy(0);
}

bool fits(const at::Tensor& to, const at::Tensor& from) {
  return to.defined() && to.sizes() == from.sizes() && to.scalar_type() == from.scalar_type();
}

/// Copies `from`, of the host, into `to`, whose memory is kept if it fits.
void copy_on_host(const at::Tensor& from, at::Tensor& to) {
  if (!fits(to, from)) to = at::empty(from.sizes(), at::TensorOptions().dtype(from.scalar_type()));
  if (!from.is_contiguous()) {
    to.copy_(from);
  } else if (from.nbytes() > 0) {
    copy_bytes(static_cast<std::byte*>(to.mutable_data_ptr()), static_cast<const std::byte*>(from.const_data_ptr()),
               from.nbytes());
  }
}

}  // namespace

CheckpointWriter::CheckpointWriter(Communicator& comm, std::filesystem::path parent, SaveOptions options,
                                   int64_t whole_every)
    : comm_(comm.duplicate_on_host("checkpoint")), parent_(std::move(parent)), options_(std::move(options)),
      whole_every_(whole_every > 1 && supports_incremental(*comm_, parent_) ? whole_every : 1) {}

CheckpointWriter::~CheckpointWriter() {
  before_change();
  if (pending_.valid()) pending_.wait();
}

/// Tensors of the host are copied now; the copies of a device's tensors are started.
void CheckpointWriter::snapshot(const TrainState& state) {
  std::vector<std::pair<at::Tensor, at::Tensor>> of_device;
  const auto copy = [&](const at::Tensor& from, at::Tensor& to) {
    if (from.is_cpu()) return copy_on_host(from, to);
    if (!copies_) copies_ = std::make_unique<HostCopies>(from.device());
    if (!fits(to, from)) to = copies_->buffer(from.sizes(), from.scalar_type());
    of_device.emplace_back(from, to);
  };
  copy_.tensors.resize(state.tensors.size());
  copy_.replicated.resize(state.replicated.size());
  for (size_t n = 0; n < state.tensors.size(); ++n) {
    const ShardedTensor& from = state.tensors[n];
    ShardedTensor& to = copy_.tensors[n];
    copy(from.rows, to.rows);
    to = {from.name, from.global_rows, from.first_row, to.rows, from.row_numbers};
  }
  for (size_t n = 0; n < state.replicated.size(); ++n) {
    copy_.replicated[n].name = state.replicated[n].name;
    copy(state.replicated[n].value, copy_.replicated[n].value);
  }
  if (copies_) copies_->start(of_device);
  copy_.only_changes = state.only_changes;
  copy_.metadata_json = state.metadata_json;
}

CheckpointInfo CheckpointWriter::save_copy(int64_t step, const SaveOptions& options, double begin_s) {
  try {
    if (copies_) copies_->wait();
    CheckpointInfo saved = save(*comm_, parent_, step, copy_, options);
    longest_s_ = std::max<double>(longest_s_, Activity::now_s() - begin_s);
    return saved;
  } catch (...) {
    failed_ = true;
    throw;
  }
}

void CheckpointWriter::start(int64_t step, const TrainState& state, const std::string& pin) {
  finish();
  const double begin_s = Activity::now_s();
  snapshot(state);
  since_whole_ = state.only_changes ? since_whole_ + 1 : 1;
  SaveOptions options = options_;
  options.pin = pin;
  options.base = &last_;
  pending_ =
      std::async(std::launch::async, [this, step, options, begin_s] { return save_copy(step, options, begin_s); });
}

std::optional<CheckpointInfo> CheckpointWriter::finish() {
  if (!pending_.valid()) return std::nullopt;
  before_change();
  last_ = pending_.get();
  return last_;
}

void CheckpointWriter::before_change() {
  if (copies_) copies_->before_change();
}

bool CheckpointWriter::idle() const {
  return !pending_.valid() || pending_.wait_for(std::chrono::seconds(0)) == std::future_status::ready;
}

}  // namespace cllm
