#pragma once

// Ranks as threads of one process, for tests that need several world sizes, or faults, in one test. Header only,
// because not every test executable links to dist/.

#include <ATen/ops/empty_like.h>
#include <ATen/ops/stack.h>

#include <condition_variable>
#include <cstring>
#include <exception>
#include <functional>
#include <mutex>
#include <thread>

#include "dist/communicator/communicator.h"
#include "dist/communicator/ordered_reduce.h"
#include "dist/errors.h"

namespace cllm::testing {

/// What the threads of a world share: a barrier that breaks when a rank leaves by an exception, and one pointer per
/// rank.
class SharedWorld {
 public:
  explicit SharedWorld(int size) : published(size), size_(size) {}

  int size() const { return size_; }
  void meet() {
    std::unique_lock lock(mutex_);
    const int turn = turn_;
    if (++waiting_ == size_) {
      waiting_ = 0;
      ++turn_;
      met_.notify_all();
    }
    met_.wait(lock, [&] { return turn_ != turn || broken_; });
    if (turn_ == turn) throw CommError("a rank of the thread world is gone");
  }
  void break_up() {
    const std::scoped_lock lock(mutex_);
    broken_ = true;
    met_.notify_all();
  }

  struct Published {
    at::Tensor tensor;
    std::vector<int64_t> rows;
    std::shared_ptr<SharedWorld> copy;
  };
  std::vector<Published> published;

 private:
  int size_;
  std::mutex mutex_;
  std::condition_variable met_;
  int waiting_ = 0, turn_ = 0;
  bool broken_ = false;
};

class ThreadCommunicator : public Communicator {
 public:
  ThreadCommunicator(std::shared_ptr<SharedWorld> world, int rank) : world_(std::move(world)), rank_(rank) {}

  int rank() const override { return rank_; }
  int world_size() const override { return world_->size(); }
  at::Device device() const override { return at::kCPU; }

  void all_reduce(at::Tensor& tensor, ReduceOp op) override {
    publish(tensor);
    std::vector<at::Tensor> parts;
    for (const auto& of_rank : world_->published) parts.push_back(of_rank.tensor.reshape({-1}));
    at::Tensor sum = at::empty_like(parts[0]);
    reduce_in_rank_order(sum, at::stack(parts), op);
    world_->meet();
    tensor.copy_(sum.view(tensor.sizes()));
  }
  void all_gather(at::Tensor& out, const at::Tensor& in, std::span<const int64_t> rows) override {
    publish(in.clone());
    for (int64_t peer = 0, begin = 0; peer < world_size(); begin += rows[peer++]) {
      out.narrow(0, begin, rows[peer]).copy_(world_->published[peer].tensor);
    }
    world_->meet();
  }
  void reduce_scatter(at::Tensor& out, const at::Tensor& in, std::span<const int64_t> rows) override {
    at::Tensor sum = in.clone();
    all_reduce(sum, ReduceOp::kSum);
    int64_t begin = 0;
    for (int peer = 0; peer < rank_; ++peer) begin += rows[peer];
    out.copy_(sum.narrow(0, begin, rows[rank_]));
  }
  std::unique_ptr<Work> all_to_all(at::Tensor& out, const at::Tensor& in, std::span<const int64_t> receive_rows,
                                   std::span<const int64_t> send_rows) override {
    publish(in, send_rows);
    for (int64_t peer = 0, begin = 0; peer < world_size(); begin += receive_rows[peer++]) {
      const auto& [tensor, rows, copy] = world_->published[peer];
      int64_t from = 0;
      for (int before = 0; before < rank_; ++before) from += rows[before];
      out.narrow(0, begin, receive_rows[peer]).copy_(tensor.narrow(0, from, rows[rank_]));
    }
    world_->meet();
    return std::make_unique<Done>();
  }
  void broadcast(at::Tensor& tensor, int root) override {
    publish(tensor);
    if (rank_ != root) tensor.copy_(world_->published[root].tensor);
    world_->meet();
  }
  void barrier() override { world_->meet(); }
  std::unique_ptr<Communicator> duplicate(const std::string&) override {
    if (rank_ == 0) world_->published[0].copy = std::make_shared<SharedWorld>(world_size());
    world_->meet();
    auto copy = std::make_unique<ThreadCommunicator>(world_->published[0].copy, rank_);
    world_->meet();
    return copy;
  }

 private:
  struct Done : Work {
    void wait() override {}
  };
  void publish(const at::Tensor& tensor, std::span<const int64_t> rows = {}) {
    world_->published[rank_].tensor = tensor;
    world_->published[rank_].rows.assign(rows.begin(), rows.end());
    world_->meet();
  }

  std::shared_ptr<SharedWorld> world_;
  int rank_;
};

/// Runs `body` on `world_size` ranks and waits for all. Rethrows what a rank threw first; an exception breaks the world
/// for the others.
inline void run_ranks(int world_size, const std::function<void(Communicator&)>& body) {
  const auto world = std::make_shared<SharedWorld>(world_size);
  std::exception_ptr first;
  std::mutex mutex;
  std::vector<std::thread> threads;
  for (int rank = 0; rank < world_size; ++rank) {
    threads.emplace_back([&, rank] {
      try {
        ThreadCommunicator comm(world, rank);
        body(comm);
      } catch (...) {
        const std::scoped_lock lock(mutex);
        if (!first) first = std::current_exception();
        world->break_up();
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  if (first) std::rethrow_exception(first);
}

}  // namespace cllm::testing
