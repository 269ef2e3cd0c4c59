#include "dist/communicator/watched_communicator.h"

#include <array>

namespace cllm {
namespace {

/// Notes a wait from construction to destruction, also if it ends by an exception.
class Waiting {
 public:
  Waiting(Activity& activity, const std::string& operation, int64_t num_bytes, int world_size) : activity_(activity) {
    activity_.begin_collective(operation, num_bytes, num_bytes - num_bytes / world_size);
  }
  ~Waiting() { activity_.end_collective(); }
  Waiting(const Waiting&) = delete;
  Waiting& operator=(const Waiting&) = delete;

 private:
  Activity& activity_;
};

class WatchedWork : public Work {
 public:
  WatchedWork(std::unique_ptr<Work> work, Activity& activity, std::string operation, int64_t num_bytes, int world_size)
      : work_(std::move(work)), activity_(activity), operation_(std::move(operation)), num_bytes_(num_bytes),
        world_size_(world_size) {}

  void wait() override {
    const Waiting waiting(activity_, operation_, num_bytes_, world_size_);
    work_->wait();
  }

 private:
  std::unique_ptr<Work> work_;
  Activity& activity_;
  std::string operation_;
  int64_t num_bytes_;
  int world_size_;
};

class WatchedCommunicator : public Communicator {
 public:
  WatchedCommunicator(std::unique_ptr<Communicator> comm, const std::string& name, const TrafficWatch& traffic)
      : comm_(std::move(comm)), watch_(traffic) {
    for (size_t n = 0; n < kKinds.size(); ++n) titles_[n] = std::string(kKinds[n]) + " on \"" + name + "\"";
  }

  int rank() const override { return comm_->rank(); }
  int world_size() const override { return comm_->world_size(); }
  at::Device device() const override { return comm_->device(); }

  void all_reduce(at::Tensor& tensor, ReduceOp op) override {
    watch_.failpoints.at("exchange.all_reduce");
    const Waiting waiting = wait_in(0, bytes(tensor));
    comm_->all_reduce(tensor, op);
  }
  void all_gather(at::Tensor& out, const at::Tensor& in, std::span<const int64_t> rows) override {
    watch_.failpoints.at("exchange.all_gather");
    const Waiting waiting = wait_in(1, bytes(out));
    comm_->all_gather(out, in, rows);
  }
  void reduce_scatter(at::Tensor& out, const at::Tensor& in, std::span<const int64_t> rows) override {
    const Waiting waiting = wait_in(2, bytes(in));
    comm_->reduce_scatter(out, in, rows);
  }
  std::unique_ptr<Work> all_to_all(at::Tensor& out, const at::Tensor& in, std::span<const int64_t> receive_rows,
                                   std::span<const int64_t> send_rows) override {
    watch_.failpoints.at("exchange.all_to_all");
    return std::make_unique<WatchedWork>(comm_->all_to_all(out, in, receive_rows, send_rows), watch_.activity,
                                         titles_[3], bytes(out), world_size());
  }
  void broadcast(at::Tensor& tensor, int root) override {
    const Waiting waiting = wait_in(4, bytes(tensor));
    comm_->broadcast(tensor, root);
  }
  void barrier() override {
    const Waiting waiting = wait_in(5, 0);
    comm_->barrier();
  }
  std::unique_ptr<Communicator> duplicate(const std::string& name) override {
    return watch(comm_->duplicate(name), name, {watch_.background, watch_.background, watch_.failpoints});
  }
  std::unique_ptr<Communicator> duplicate_on_host(const std::string& name) override {
    return watch(comm_->duplicate_on_host(name), name, {watch_.background, watch_.background, watch_.failpoints});
  }

 private:
  static constexpr std::array<const char*, 6> kKinds = {"all_reduce", "all_gather", "reduce_scatter",
                                                        "all_to_all", "broadcast",  "barrier"};
  Waiting wait_in(size_t kind, int64_t num_bytes) const {
    return {watch_.activity, titles_[kind], num_bytes, comm_->world_size()};
  }
  static int64_t bytes(const at::Tensor& tensor) { return static_cast<int64_t>(tensor.nbytes()); }

  std::unique_ptr<Communicator> comm_;
  TrafficWatch watch_;
  std::array<std::string, 6> titles_;
};

}  // namespace

std::unique_ptr<Communicator> watch(std::unique_ptr<Communicator> comm, const std::string& name,
                                    const TrafficWatch& traffic) {
  return std::make_unique<WatchedCommunicator>(std::move(comm), name, traffic);
}

}  // namespace cllm
