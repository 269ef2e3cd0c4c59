#include "dist/communicator/nccl_communicator.h"

#include <ATen/cuda/CUDAContext.h>
#include <ATen/ops/empty.h>
#include <c10/cuda/CUDACachingAllocator.h>
#include <c10/cuda/CUDAFunctions.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <map>
#include <numeric>

#include "dist/communicator/nccl_channel.h"
#include "dist/communicator/ordered_reduce.h"
#include "dist/device/device.h"
#include "dist/errors.h"
#include "dist/row_partition.h"

namespace cllm {
namespace {

constexpr int64_t kSmallBytes =
    256 << 10;  // all_reduce: below, one round of messages; above, two that move and sum each byte fewer times

char* bytes_of(const at::Tensor& tensor) { return static_cast<char*>(tensor.data_ptr()); }

/// Bytes of one row of `tensor` [n, ...], also when n = 0.
int64_t row_bytes(const at::Tensor& tensor) {
  const auto sizes = tensor.sizes().slice(1);
  return std::accumulate(sizes.begin(), sizes.end(), static_cast<int64_t>(tensor.element_size()), std::multiplies<>());
}

/// A started operation: holds its tensors until the caller's stream waits for it.
class NcclWork : public Work {
 public:
  NcclWork(std::shared_ptr<NcclChannel> channel, std::shared_ptr<at::cuda::CUDAEvent> end,
           std::vector<at::Tensor> tensors)
      : channel_(std::move(channel)), end_(std::move(end)), tensors_(std::move(tensors)) {
    // The allocator must not hand their memory to others before the channel's stream is through, wherever the last
    // reference dies.
    for (const at::Tensor& tensor : tensors_)
      c10::cuda::CUDACachingAllocator::recordStream(tensor.storage().data_ptr(), channel_->stream());
  }
  ~NcclWork() override {
    try {
      if (!waited_) end_->block(c10::cuda::getCurrentCUDAStream());
    } catch (const std::exception&) {  // the device has failed: nobody uses the tensors any more
    }
  }

  void wait() override {
    channel_->check_health();
    channel_->block_current_stream(*end_);
    waited_ = true;
    tensors_.clear();
  }
  void wait_on_host() { channel_->wait_on_host(*end_); }

 private:
  std::shared_ptr<NcclChannel> channel_;
  std::shared_ptr<at::cuda::CUDAEvent> end_;
  std::vector<at::Tensor> tensors_;
  bool waited_ = false;
};

/// Bytes to and from every rank, in rank order.
struct Blocks {
  std::vector<int64_t> send, receive;
  bool same_to_all = false;  // the whole of `in` goes to every rank
};

class NcclCommunicator : public Communicator {
 public:
  NcclCommunicator(std::shared_ptr<NcclChannel> channel, int rank, int world_size, at::Device device)
      : channel_(std::move(channel)), rank_(rank), world_size_(world_size), device_(device) {}

  int rank() const override { return rank_; }
  int world_size() const override { return world_size_; }
  at::Device device() const override { return device_; }

  void all_reduce(at::Tensor& tensor, ReduceOp op) override;
  void all_gather(at::Tensor& out, const at::Tensor& in, std::span<const int64_t> rows) override;
  void reduce_scatter(at::Tensor& out, const at::Tensor& in, std::span<const int64_t> rows) override;
  std::unique_ptr<Work> all_to_all(at::Tensor& out, const at::Tensor& in, std::span<const int64_t> receive_rows,
                                   std::span<const int64_t> send_rows) override;
  void broadcast(at::Tensor& tensor, int root) override;
  void barrier() override;
  std::unique_ptr<Communicator> duplicate(const std::string& name) override;

 private:
  std::string title(const char* operation) const { return std::string(operation) + " on \"" + channel_->name() + "\""; }
  void check(const at::Tensor& tensor) const;
  void check_rows(std::span<const int64_t> rows, const at::Tensor& tensor) const;
  std::unique_ptr<NcclWork> exchange(const char* operation, at::Tensor& out, const at::Tensor& in,
                                     const Blocks& blocks);
  void gather_blocks(const char* operation, at::Tensor& out, const at::Tensor& in, std::span<const int64_t> rows);

  std::shared_ptr<NcclChannel> channel_;
  int rank_, world_size_;
  at::Device device_;
};

std::vector<int64_t> times(std::span<const int64_t> rows, int64_t width) {
  std::vector<int64_t> out(rows.begin(), rows.end());
  for (int64_t& value : out) value *= width;
  return out;
}

void NcclCommunicator::check(const at::Tensor& tensor) const {
  TORCH_CHECK(tensor.is_contiguous() && tensor.device() == device_, "communicator \"", channel_->name(),
              "\" moves contiguous tensors on ", device_, ", not on ", tensor.device());
}

void NcclCommunicator::check_rows(std::span<const int64_t> rows, const at::Tensor& tensor) const {
  check(tensor);
  TORCH_CHECK(static_cast<int>(rows.size()) == world_size_ && tensor.dim() >= 1 &&
                  std::accumulate(rows.begin(), rows.end(), int64_t{0}) == tensor.size(0),
              "communicator \"", channel_->name(), "\": the row counts do not add up to a tensor of shape ",
              tensor.sizes());
}

/// One round of messages. The own block is copied; empty blocks are not sent, which both sides know.
std::unique_ptr<NcclWork> NcclCommunicator::exchange(const char* operation, at::Tensor& out, const at::Tensor& in,
                                                     const Blocks& blocks) {
  const auto issue = [&](ncclComm_t comm, cudaStream_t stream) {
    char* arriving = bytes_of(out);
    const char* leaving = bytes_of(in);
    for (int peer = 0; peer < world_size_; ++peer) {
      const auto to_send = static_cast<size_t>(blocks.send[peer]),
                 to_receive = static_cast<size_t>(blocks.receive[peer]);
      if (peer == rank_) {
        if (to_receive > 0 && arriving != leaving)
          C10_CUDA_CHECK(cudaMemcpyAsync(arriving, leaving, to_receive, cudaMemcpyDeviceToDevice, stream));
      } else {
        if (to_send > 0) check_nccl(ncclSend(leaving, to_send, ncclChar, peer, comm, stream), title(operation));
        if (to_receive > 0) check_nccl(ncclRecv(arriving, to_receive, ncclChar, peer, comm, stream), title(operation));
      }
      arriving += to_receive;
      if (!blocks.same_to_all) leaving += to_send;
    }
  };
  const auto end = channel_->start(title(operation), static_cast<int64_t>(out.nbytes()), issue);
  return std::make_unique<NcclWork>(channel_, end, std::vector<at::Tensor>{out, in});
}

void NcclCommunicator::gather_blocks(const char* operation, at::Tensor& out, const at::Tensor& in,
                                     std::span<const int64_t> rows) {
  const int64_t width = row_bytes(out);
  exchange(operation, out, in,
           {std::vector<int64_t>(world_size_, rows[rank_] * width), times(rows, width), /*same_to_all=*/true})
      ->wait();
}

void NcclCommunicator::all_reduce(at::Tensor& tensor, ReduceOp op) {
  check(tensor);
  channel_->check_health();
  if (world_size_ == 1) return;
  at::Tensor flat = tensor.view({-1});
  if (static_cast<int64_t>(flat.nbytes()) * world_size_ <= kSmallBytes) {
    at::Tensor parts = at::empty({world_size_ * flat.numel()}, flat.options());
    gather_blocks("all_reduce", parts, flat, std::vector<int64_t>(world_size_, flat.numel()));
    return reduce_in_rank_order(flat, parts.view({world_size_, flat.numel()}), op);
  }
  const RowPartition partition(flat.numel(), world_size_);
  const std::vector<int64_t> sizes = partition.sizes(), mine(world_size_, sizes[rank_]);
  const auto width = static_cast<int64_t>(flat.element_size());
  at::Tensor parts = at::empty({world_size_ * sizes[rank_]}, flat.options());
  exchange("all_reduce", parts, flat, {times(sizes, width), times(mine, width)})->wait();
  at::Tensor block = flat.narrow(0, partition.begin(rank_), sizes[rank_]);
  reduce_in_rank_order(block, parts.view({world_size_, sizes[rank_]}), op);
  gather_blocks("all_reduce", flat, block, sizes);
}

void NcclCommunicator::all_gather(at::Tensor& out, const at::Tensor& in, std::span<const int64_t> rows) {
  check(in);
  check_rows(rows, out);
  TORCH_CHECK(in.size(0) == rows[rank_] && row_bytes(in) == row_bytes(out), "all_gather: in ", in.sizes(),
              " does not fit out ", out.sizes());
  gather_blocks("all_gather", out, in, rows);
}

void NcclCommunicator::reduce_scatter(at::Tensor& out, const at::Tensor& in, std::span<const int64_t> rows) {
  check(out);
  check_rows(rows, in);
  TORCH_CHECK(out.size(0) == rows[rank_] && row_bytes(in) == row_bytes(out), "reduce_scatter: in ", in.sizes(),
              " does not fit out ", out.sizes());
  std::vector<int64_t> shape = out.sizes().vec();
  shape[0] = world_size_ * rows[rank_];
  at::Tensor parts = at::empty(shape, out.options());
  const int64_t width = row_bytes(in);
  exchange("reduce_scatter", parts, in, {times(rows, width), std::vector<int64_t>(world_size_, rows[rank_] * width)})
      ->wait();
  at::Tensor flat = out.view({-1});
  reduce_in_rank_order(flat, parts.view({world_size_, flat.numel()}), ReduceOp::kSum);
}

std::unique_ptr<Work> NcclCommunicator::all_to_all(at::Tensor& out, const at::Tensor& in,
                                                   std::span<const int64_t> receive_rows,
                                                   std::span<const int64_t> send_rows) {
  check_rows(receive_rows, out);
  check_rows(send_rows, in);
  TORCH_CHECK(row_bytes(in) == row_bytes(out) && receive_rows[rank_] == send_rows[rank_], "all_to_all: in ", in.sizes(),
              " does not fit out ", out.sizes());
  const int64_t width = row_bytes(in);
  return exchange("all_to_all", out, in, {times(send_rows, width), times(receive_rows, width)});
}

void NcclCommunicator::broadcast(at::Tensor& tensor, int root) {
  check(tensor);
  if (tensor.nbytes() == 0) return channel_->check_health();
  const auto end = channel_->start(
      title("broadcast"), static_cast<int64_t>(tensor.nbytes()), [&](ncclComm_t comm, cudaStream_t stream) {
        check_nccl(ncclBroadcast(tensor.data_ptr(), tensor.data_ptr(), tensor.nbytes(), ncclChar, root, comm, stream),
                   title("broadcast"));
      });
  NcclWork(channel_, end, {tensor}).wait();
}

void NcclCommunicator::barrier() {
  const at::Tensor one = at::empty({1}, at::TensorOptions().dtype(at::kByte).device(device_));
  at::Tensor all = at::empty({world_size_}, one.options());
  const std::vector<int64_t> each(world_size_, 1);
  const auto work = exchange("barrier", all, one, {each, each, /*same_to_all=*/true});
  work->wait_on_host();
  work->wait();
}

std::unique_ptr<Communicator> NcclCommunicator::duplicate(const std::string& name) {
  return std::make_unique<NcclCommunicator>(std::shared_ptr<NcclChannel>(channel_->split(name)), rank_, world_size_,
                                            device_);
}

/// Host name and PCI address: the same for two ranks only if they share a GPU.
std::string gpu_identity(at::Device device) {
  char host[256] = {}, bus[32] = {};
  gethostname(host, sizeof(host) - 1);
  C10_CUDA_CHECK(cudaDeviceGetPCIBusId(bus, sizeof(bus), device.index()));
  return std::string(host) + " GPU " + bus;
}

void refuse_shared_gpus(Communicator& bootstrap, at::Device device) {
  std::map<std::string, int> owner;
  const std::vector<std::string> all = all_gather_strings(bootstrap, gpu_identity(device));
  for (int rank = 0; rank < bootstrap.world_size(); ++rank) {
    const auto [entry, is_new] = owner.emplace(all[rank], rank);
    if (!is_new) {
      throw DeviceError("ranks " + std::to_string(entry->second) + " and " + std::to_string(rank) + " share " +
                        all[rank] + ": start at most one rank per GPU on a host");
    }
  }
}

/// Fails on all ranks if it fails on one, so that nobody waits for a rank that is gone.
at::Device agree_on_devices(Communicator& bootstrap, const NcclOptions& options) {
  std::string problem;
  at::Device device(at::kCPU);
  try {
    device = device_of_rank(options.local_rank, options.allow_shared_gpu);
  } catch (const DeviceError& error) {
    problem = error.what();
  }
  const std::vector<std::string> problems = all_gather_strings(bootstrap, problem);
  for (int rank = 0; rank < bootstrap.world_size(); ++rank) {
    if (!problems[rank].empty()) throw DeviceError("rank " + std::to_string(rank) + ": " + problems[rank]);
  }
  return device;
}

}  // namespace

std::unique_ptr<Communicator> make_nccl_communicator(Communicator& bootstrap, const NcclOptions& options) {
  const at::Device device = agree_on_devices(bootstrap, options);
  use_device(device);
  if (options.allow_shared_gpu) {  // NCCL accepts two ranks on a GPU only if they claim different hosts
    setenv("NCCL_HOSTID", ("rank" + std::to_string(bootstrap.rank())).c_str(), /*overwrite=*/0);
  } else {
    refuse_shared_gpus(bootstrap, device);
  }
  std::string id_bytes(sizeof(ncclUniqueId), '\0');
  ncclUniqueId id;
  if (bootstrap.rank() == 0) {
    check_nccl(ncclGetUniqueId(&id), "NCCL");
    std::memcpy(id_bytes.data(), &id, sizeof(id));
  }
  id_bytes = broadcast_string(bootstrap, id_bytes, 0);
  std::memcpy(&id, id_bytes.data(), sizeof(id));
  auto channel = std::make_shared<NcclChannel>(id, bootstrap.rank(), bootstrap.world_size(), "world",
                                               options.deadline_s, options.stalls);
  return std::make_unique<NcclCommunicator>(std::move(channel), bootstrap.rank(), bootstrap.world_size(), device);
}

}  // namespace cllm
