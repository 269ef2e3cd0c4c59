#pragma once

#include <memory>
#include <utility>

#include "dist/communicator.h"

namespace cllm::testing {

/// A communicator for tensors of any device over one for CPU tensors: copies there and back.
class StagedCommunicator : public Communicator {
 public:
  StagedCommunicator(std::unique_ptr<Communicator> host, at::Device device) : host_(std::move(host)), device_(device) {}

  int rank() const override { return host_->rank(); }
  int world_size() const override { return host_->world_size(); }
  at::Device device() const override { return device_; }

  void all_reduce(at::Tensor& tensor, ReduceOp op) override {
    at::Tensor staged = here(tensor).cpu();
    host_->all_reduce(staged, op);
    tensor.copy_(staged);
  }
  void all_gather(at::Tensor& out, const at::Tensor& in, std::span<const int64_t> rows) override {
    at::Tensor staged = here(out).cpu();
    host_->all_gather(staged, here(in).cpu(), rows);
    out.copy_(staged);
  }
  void reduce_scatter(at::Tensor& out, const at::Tensor& in, std::span<const int64_t> rows) override {
    at::Tensor staged = here(out).cpu();
    host_->reduce_scatter(staged, here(in).cpu(), rows);
    out.copy_(staged);
  }
  std::unique_ptr<Work> all_to_all(at::Tensor& out, const at::Tensor& in, std::span<const int64_t> receive_rows,
                                   std::span<const int64_t> send_rows) override {
    at::Tensor staged = here(out).cpu();
    host_->all_to_all(staged, here(in).cpu(), receive_rows, send_rows)->wait();
    out.copy_(staged);
    return std::make_unique<Done>();
  }
  void broadcast(at::Tensor& tensor, int root) override {
    at::Tensor staged = here(tensor).cpu();
    host_->broadcast(staged, root);
    tensor.copy_(staged);
  }
  void barrier() override { host_->barrier(); }
  std::unique_ptr<Communicator> duplicate(const std::string& name) override {
    return std::make_unique<StagedCommunicator>(host_->duplicate(name), device_);
  }

 private:
  struct Done : Work {
    void wait() override {}
  };
  const at::Tensor& here(const at::Tensor& tensor) const {
    TORCH_CHECK(tensor.device().type() == device_.type() && tensor.is_contiguous(), "moves contiguous tensors on ", device_);
    return tensor;
  }

  std::unique_ptr<Communicator> host_;
  at::Device device_;
};

}  // namespace cllm::testing
