#include "dist/communicator/joined_communicator.h"

namespace cllm {
namespace {

class JoinedCommunicator : public Communicator {
 public:
  JoinedCommunicator(std::unique_ptr<Communicator> host, std::unique_ptr<Communicator> device)
      : host_(std::move(host)), device_(std::move(device)) {
    TORCH_CHECK(host_->rank() == device_->rank() && host_->world_size() == device_->world_size(),
                "joined communicators must have the same ranks");
  }

  int rank() const override { return host_->rank(); }
  int world_size() const override { return host_->world_size(); }
  at::Device device() const override { return at::kCPU; }

  void all_reduce(at::Tensor& tensor, ReduceOp op) override { of(tensor).all_reduce(tensor, op); }
  void all_gather(at::Tensor& out, const at::Tensor& in, std::span<const int64_t> rows) override {
    of(out).all_gather(out, in, rows);
  }
  void reduce_scatter(at::Tensor& out, const at::Tensor& in, std::span<const int64_t> rows) override {
    of(out).reduce_scatter(out, in, rows);
  }
  std::unique_ptr<Work> all_to_all(at::Tensor& out, const at::Tensor& in, std::span<const int64_t> receive_rows,
                                   std::span<const int64_t> send_rows) override {
    return of(out).all_to_all(out, in, receive_rows, send_rows);
  }
  void broadcast(at::Tensor& tensor, int root) override { of(tensor).broadcast(tensor, root); }
  void barrier() override {
    device_->barrier();
    host_->barrier();
  }
  std::unique_ptr<Communicator> duplicate(const std::string& name) override {
    auto host = host_->duplicate(name);
    return join(std::move(host), device_->duplicate(name));
  }
  std::unique_ptr<Communicator> duplicate_on_host(const std::string& name) override { return host_->duplicate(name); }

 private:
  Communicator& of(const at::Tensor& tensor) { return tensor.is_cpu() ? *host_ : *device_; }

  std::unique_ptr<Communicator> host_, device_;
};

}  // namespace

std::unique_ptr<Communicator> join(std::unique_ptr<Communicator> host, std::unique_ptr<Communicator> device) {
  return std::make_unique<JoinedCommunicator>(std::move(host), std::move(device));
}

}  // namespace cllm
