#include <ATen/ops/empty.h>

#include <algorithm>
#include <numeric>

#include "dist/communicator/mpi_private.h"
#include "dist/communicator/mpi_transfer.h"
#include "dist/communicator/ordered_reduce.h"
#include "dist/errors.h"
#include "dist/row_partition.h"

namespace cllm {
namespace {

constexpr int64_t kSmallBytes =
    256 << 10;  // below: one round of messages; above: two rounds that move and sum each byte fewer times

enum class Kind { kAllReduce, kAllGather, kReduceScatter, kAllToAll, kBroadcast, kBarrier };
constexpr const char* kKindNames[] = {"all_reduce", "all_gather", "reduce_scatter",
                                      "all_to_all", "broadcast",  "barrier"};

std::byte* bytes_of(const at::Tensor& tensor) { return static_cast<std::byte*>(tensor.data_ptr()); }

/// Bytes of one row of `tensor` [n, ...], also when n = 0.
int64_t row_bytes(const at::Tensor& tensor) {
  const auto sizes = tensor.sizes().slice(1);
  return std::accumulate(sizes.begin(), sizes.end(), static_cast<int64_t>(tensor.element_size()), std::multiplies<>());
}

int64_t sum(std::span<const int64_t> values) { return std::accumulate(values.begin(), values.end(), int64_t{0}); }

/// Collectives out of point-to-point messages: a missing or disagreeing peer can be named, every wait has a deadline,
/// and sums are taken by us in rank order. All work on flat bytes, so any dtype travels.
class MpiCommunicator : public Communicator {
 public:
  MpiCommunicator(MpiComm comm, std::string name, double deadline_s)
      : comm_(std::move(comm)), name_(std::move(name)), deadline_s_(deadline_s), rank_(comm_.rank()),
        world_size_(comm_.size()) {}

  int rank() const override { return rank_; }
  int world_size() const override { return world_size_; }
  at::Device device() const override { return at::kCPU; }

  void all_reduce(at::Tensor& tensor, ReduceOp op) override;
  void all_gather(at::Tensor& out, const at::Tensor& in, std::span<const int64_t> rows) override;
  void reduce_scatter(at::Tensor& out, const at::Tensor& in, std::span<const int64_t> rows) override;
  std::unique_ptr<Work> all_to_all(at::Tensor& out, const at::Tensor& in, std::span<const int64_t> receive_rows,
                                   std::span<const int64_t> send_rows) override;
  void broadcast(at::Tensor& tensor, int root) override;
  void barrier() override;
  std::unique_ptr<Communicator> duplicate(const std::string& name) override;

 private:
  MpiOperation begin(Kind kind);
  void check(const at::Tensor& tensor) const;
  void check_rows(std::span<const int64_t> rows, const at::Tensor& tensor) const;
  void gather_blocks(const MpiOperation& operation, at::Tensor& out, const at::Tensor& in,
                     std::span<const int64_t> rows);
  std::unique_ptr<Work> exchange_blocks(const MpiOperation& operation, at::Tensor& out, const at::Tensor& in,
                                        std::span<const int64_t> receive_rows, std::span<const int64_t> send_rows);
  void broadcast_tree(const MpiOperation& operation, const at::Tensor& flat, int root);

  MpiComm comm_;
  std::string name_;
  double deadline_s_;
  int rank_;
  int world_size_;
  int sequence_ = 0;  // operations begun
};

/// The tag carries the kind and a running number: an operation that a peer skipped or ordered otherwise finds no
/// partner and ends at the deadline instead of taking a stranger's bytes. 32767 is the largest tag that every MPI has.
MpiOperation MpiCommunicator::begin(Kind kind) {
  const int tag = (sequence_++ % 4096) * 8 + static_cast<int>(kind);
  return {comm_.handle(), tag, deadline_s_,
          std::string(kKindNames[static_cast<int>(kind)]) + " on \"" + name_ + "\", rank " + std::to_string(rank_) +
              " of " + std::to_string(world_size_)};
}

void MpiCommunicator::check(const at::Tensor& tensor) const {
  TORCH_CHECK(tensor.is_contiguous() && tensor.device().is_cpu(), "communicator \"", name_,
              "\" moves contiguous CPU tensors");
}

void MpiCommunicator::check_rows(std::span<const int64_t> rows, const at::Tensor& tensor) const {
  check(tensor);
  TORCH_CHECK(static_cast<int>(rows.size()) == world_size_ && tensor.dim() >= 1 && sum(rows) == tensor.size(0),
              "communicator \"", name_, "\": the row counts do not add up to a tensor of shape ", tensor.sizes());
}

void MpiCommunicator::gather_blocks(const MpiOperation& operation, at::Tensor& out, const at::Tensor& in,
                                    std::span<const int64_t> rows) {
  MpiTransfer transfer(operation);
  const int64_t width = row_bytes(out);
  std::byte* block = bytes_of(out);
  for (int peer = 0; peer < world_size_; block += rows[peer++] * width) {
    if (peer == rank_) {
      if (block != bytes_of(in)) std::copy_n(bytes_of(in), in.nbytes(), block);
      continue;
    }
    transfer.receive(block, rows[peer] * width, peer);
    transfer.send(bytes_of(in), static_cast<int64_t>(in.nbytes()), peer);
  }
  transfer.keep(out);
  transfer.keep(in);
  transfer.wait();
}

std::unique_ptr<Work> MpiCommunicator::exchange_blocks(const MpiOperation& operation, at::Tensor& out,
                                                       const at::Tensor& in, std::span<const int64_t> receive_rows,
                                                       std::span<const int64_t> send_rows) {
  auto transfer = std::make_unique<MpiTransfer>(operation);
  const int64_t width = row_bytes(in);
  std::byte* arriving = bytes_of(out);
  const std::byte* leaving = bytes_of(in);
  for (int peer = 0; peer < world_size_; ++peer) {
    if (peer == rank_) {
      std::copy_n(leaving, send_rows[peer] * width, arriving);  // unlike memcpy, of nothing from nowhere too
    } else {
      transfer->receive(arriving, receive_rows[peer] * width, peer);
      transfer->send(leaving, send_rows[peer] * width, peer);
    }
    arriving += receive_rows[peer] * width;
    leaving += send_rows[peer] * width;
  }
  transfer->keep(out);
  transfer->keep(in);
  return transfer;
}

void MpiCommunicator::all_reduce(at::Tensor& tensor, ReduceOp op) {
  check(tensor);
  if (world_size_ == 1) return;
  const MpiOperation operation = begin(Kind::kAllReduce);
  at::Tensor flat = tensor.view({-1});
  if (static_cast<int64_t>(flat.nbytes()) * world_size_ <= kSmallBytes) {
    const std::vector<int64_t> equal(world_size_, flat.numel());
    at::Tensor parts = at::empty({world_size_ * flat.numel()}, flat.options());
    gather_blocks(operation, parts, flat, equal);
    reduce_in_rank_order(flat, parts.view({world_size_, flat.numel()}), op);
    return;
  }
  const RowPartition blocks(flat.numel(), world_size_);
  const std::vector<int64_t> sizes = blocks.sizes();
  const std::vector<int64_t> mine(world_size_, sizes[rank_]);
  at::Tensor parts = at::empty({world_size_ * sizes[rank_]}, flat.options());
  exchange_blocks(operation, parts, flat, mine, sizes)->wait();
  at::Tensor block = flat.narrow(0, blocks.begin(rank_), sizes[rank_]);
  reduce_in_rank_order(block, parts.view({world_size_, sizes[rank_]}), op);
  gather_blocks(operation, flat, block, sizes);
}

void MpiCommunicator::all_gather(at::Tensor& out, const at::Tensor& in, std::span<const int64_t> rows) {
  check(in);
  check_rows(rows, out);
  TORCH_CHECK(in.size(0) == rows[rank_] && row_bytes(in) == row_bytes(out), "all_gather: in ", in.sizes(),
              " does not fit out ", out.sizes());
  gather_blocks(begin(Kind::kAllGather), out, in, rows);
}

void MpiCommunicator::reduce_scatter(at::Tensor& out, const at::Tensor& in, std::span<const int64_t> rows) {
  check(out);
  check_rows(rows, in);
  TORCH_CHECK(out.size(0) == rows[rank_] && row_bytes(in) == row_bytes(out), "reduce_scatter: in ", in.sizes(),
              " does not fit out ", out.sizes());
  const std::vector<int64_t> mine(world_size_, rows[rank_]);
  std::vector<int64_t> shape = out.sizes().vec();
  shape[0] = world_size_ * rows[rank_];
  at::Tensor parts = at::empty(shape, out.options());
  exchange_blocks(begin(Kind::kReduceScatter), parts, in, mine, rows)->wait();
  at::Tensor flat = out.view({-1});
  reduce_in_rank_order(flat, parts.view({world_size_, flat.numel()}), ReduceOp::kSum);
}

std::unique_ptr<Work> MpiCommunicator::all_to_all(at::Tensor& out, const at::Tensor& in,
                                                  std::span<const int64_t> receive_rows,
                                                  std::span<const int64_t> send_rows) {
  check_rows(receive_rows, out);
  check_rows(send_rows, in);
  TORCH_CHECK(row_bytes(in) == row_bytes(out) && receive_rows[rank_] == send_rows[rank_], "all_to_all: in ", in.sizes(),
              " does not fit out ", out.sizes());
  return exchange_blocks(begin(Kind::kAllToAll), out, in, receive_rows, send_rows);
}

/// Binomial tree: a rank receives from its parent, then serves its children, the farthest first.
void MpiCommunicator::broadcast_tree(const MpiOperation& operation, const at::Tensor& flat, int root) {
  const int distance = (rank_ - root + world_size_) % world_size_;
  const auto peer = [&](int d) { return (d + root) % world_size_; };
  const auto num_bytes = static_cast<int64_t>(flat.nbytes());
  int span = 1;  // lowest set bit of the distance; the root's is beyond the world
  while (span < world_size_ && (distance & span) == 0) span <<= 1;
  if (distance != 0) {
    MpiTransfer from_parent(operation);
    from_parent.keep(flat);
    from_parent.receive(bytes_of(flat), num_bytes, peer(distance - span));
    from_parent.wait();
  }
  MpiTransfer to_children(operation);
  to_children.keep(flat);
  for (span >>= 1; span > 0; span >>= 1) {
    if (distance + span < world_size_) to_children.send(bytes_of(flat), num_bytes, peer(distance + span));
  }
  to_children.wait();
}

void MpiCommunicator::broadcast(at::Tensor& tensor, int root) {
  check(tensor);
  TORCH_CHECK(root >= 0 && root < world_size_, "broadcast: no rank ", root);
  const MpiOperation operation = begin(Kind::kBroadcast);
  at::Tensor flat = tensor.view({-1}).view(at::kByte);
  if (world_size_ <= 2 || flat.numel() <= kSmallBytes) return broadcast_tree(operation, flat, root);
  const RowPartition blocks(flat.numel(),
                            world_size_);  // the root sends each byte once, then all ranks share their blocks
  const std::vector<int64_t> sizes = blocks.sizes();
  at::Tensor mine = flat.narrow(0, blocks.begin(rank_), sizes[rank_]);
  MpiTransfer scatter(operation);
  scatter.keep(flat);
  if (rank_ == root) {
    for (int peer = 0; peer < world_size_; ++peer) {
      if (peer != root) scatter.send(bytes_of(flat) + blocks.begin(peer), sizes[peer], peer);
    }
  } else {
    scatter.receive(bytes_of(mine), sizes[rank_], root);
  }
  scatter.wait();
  gather_blocks(operation, flat, mine, sizes);
}

/// Dissemination: after round k every rank has heard, directly or not, of the 2^(k+1) ranks before it.
void MpiCommunicator::barrier() {
  const MpiOperation operation = begin(Kind::kBarrier);
  for (int distance = 1; distance < world_size_; distance <<= 1) {
    MpiTransfer round(operation);
    round.receive(nullptr, 0, (rank_ - distance + world_size_) % world_size_);
    round.send(nullptr, 0, (rank_ + distance) % world_size_);
    round.wait();
  }
}

std::unique_ptr<Communicator> MpiCommunicator::duplicate(const std::string& name) {
  barrier();  // MPI_Comm_dup itself has no deadline
  MPI_Comm copy = MPI_COMM_NULL;
  check_mpi(MPI_Comm_dup(comm_.handle(), &copy), "duplicate \"" + name_ + "\" as \"" + name + "\"");
  return make_mpi_communicator(MpiComm(copy), name, deadline_s_);
}

}  // namespace

std::unique_ptr<Communicator> make_mpi_communicator(MpiComm comm, const std::string& name, double deadline_s) {
  return std::make_unique<MpiCommunicator>(std::move(comm), name, deadline_s);
}

}  // namespace cllm
