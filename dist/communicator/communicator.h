#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

namespace cllm {

/// kLogSumExp: log sum_r e^x_r of floating-point x_r; -infinity stands for no term.
enum class ReduceOp { kSum, kMax, kMin, kLogSumExp };

/// A started collective. Its tensors must stay alive and untouched until wait() returns. The destructor waits.
class Work {
 public:
  virtual ~Work() = default;
  /// Returns when the result may be read by the caller's compute stream. Throws CommError on failure or deadline.
  virtual void wait() = 0;
};

/// How tensors move between ranks. Names and meaning as in torch.distributed. Every rank calls every operation in the
/// same order with agreeing sizes and dtypes; tensors are contiguous, on device(), of any dtype. Results depend only on
/// the inputs and the world size: sums are taken in rank order, so the same call twice is bitwise equal. One thread at
/// a time per communicator; a second thread (checkpoint writer, prefetcher) uses its own duplicate(). A world of one
/// rank is a normal world.
class Communicator {
 public:
  virtual ~Communicator() = default;

  virtual int rank() const = 0;
  virtual int world_size() const = 0;
  virtual at::Device device() const = 0;

  /// In place, element by element over ranks.
  virtual void all_reduce(at::Tensor& tensor, ReduceOp op) = 0;

  /// `in` [n_r, ...] of every rank, concatenated in rank order along dim 0 into `out` [sum n_r, ...]; rows[r] = n_r,
  /// known to all.
  virtual void all_gather(at::Tensor& out, const at::Tensor& in, std::span<const int64_t> rows) = 0;

  /// `in` [sum n_r, ...] summed over ranks in rank order; this rank keeps its block `out` [n_rank, ...].
  virtual void reduce_scatter(at::Tensor& out, const at::Tensor& in, std::span<const int64_t> rows) = 0;

  /// Rows of `in` [sum send_rows, ...] go to ranks in order, send_rows[r] each; `out` [sum receive_rows, ...] arrives
  /// in rank order.
  virtual std::unique_ptr<Work> all_to_all(at::Tensor& out, const at::Tensor& in, std::span<const int64_t> receive_rows,
                                           std::span<const int64_t> send_rows) = 0;

  virtual void broadcast(at::Tensor& tensor, int root) = 0;
  virtual void barrier() = 0;

  /// An independent communicator over the same ranks, for another thread or traffic class. Collective.
  virtual std::unique_ptr<Communicator> duplicate(const std::string& name) = 0;

  /// The same for CPU tensors alone: takes nothing of a GPU's memory. Collective.
  virtual std::unique_ptr<Communicator> duplicate_on_host(const std::string& name) { return duplicate(name); }
};

/// The communicators of a training step, all over the same ranks, used by one thread. Over NCCL each has a stream of
/// its own, so that rows on their way delay no softmax and the other way round. Every rank issues the operations of all
/// of them in one order.
struct Channels {
  /// One for all.
  Channels(Communicator& all) : world(all), exchange(all), softmax(all) {}  // NOLINT(google-explicit-constructor)
  Channels(Communicator& for_world, Communicator& for_exchange, Communicator& for_softmax)
      : world(for_world), exchange(for_exchange), softmax(for_softmax) {}

  Communicator& world;     // sums over the ranks
  Communicator& exchange;  // ids, rows and their gradients
  Communicator& softmax;   // hidden states and item tables of the softmax over the items
};

/// Gathers one byte string per rank; every rank gets all of them in rank order. For status exchange and small host
/// values.
std::vector<std::string> all_gather_strings(Communicator& comm, const std::string& value);

/// The string of `root` on every rank.
std::string broadcast_string(Communicator& comm, const std::string& value, int root);

}  // namespace cllm
