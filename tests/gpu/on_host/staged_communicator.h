#pragma once

#include <ATen/ops/empty.h>

#include <algorithm>
#include <cstdint>
#include <memory>
#include <utility>

#include "dist/communicator/communicator.h"
#include "dist/watch/activity.h"

namespace cllm::testing {

/// Stalls of the compute stream that a communicator makes up: so many seconds a wait. They go to `activity` if it is
/// not null.
struct MadeUpStalls {
  Activity* activity = nullptr;
  double seconds_per_wait = 0;
};

/// A communicator for tensors of a device whose memory is the host's, over one for CPU tensors: copies there and back.
/// all_to_all is as unkind as the contract allows: until wait() the output holds bytes of 0xFF (NaN in every float
/// type, -1 in integers), and wait() throws c10::Error if anyone has changed input or output meanwhile.
class StagedCommunicator : public Communicator {
 public:
  StagedCommunicator(std::unique_ptr<Communicator> host, at::Device device, MadeUpStalls stalls = {})
      : host_(std::move(host)), device_(device), stalls_(stalls) {}

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
    return std::make_unique<LateWork>(*host_, here(out), here(in), receive_rows, send_rows, stalls_);
  }
  void broadcast(at::Tensor& tensor, int root) override {
    at::Tensor staged = here(tensor).cpu();
    host_->broadcast(staged, root);
    tensor.copy_(staged);
  }
  void barrier() override { host_->barrier(); }
  std::unique_ptr<Communicator> duplicate(const std::string& name) override {
    return std::make_unique<StagedCommunicator>(host_->duplicate(name), device_, stalls_);
  }

 private:
  class LateWork : public Work {
   public:
    LateWork(Communicator& host, const at::Tensor& out, const at::Tensor& in, std::span<const int64_t> receive_rows,
             std::span<const int64_t> send_rows, const MadeUpStalls& stalls)
        : out_(out), in_(in), sent_(in.to(at::kCPU, /*non_blocking=*/false, /*copy=*/true)),
          arrived_(at::empty(out.sizes(), out.options().device(at::kCPU))), stalls_(stalls) {
      work_ = host.all_to_all(arrived_, sent_, receive_rows, send_rows);
      std::fill_n(static_cast<uint8_t*>(out_.mutable_data_ptr()), out_.nbytes(), kNotYet);
    }
    ~LateWork() override {
      try {
        wait();
      } catch (const std::exception&) {  // the peers are lost, or the order was wrong and nobody asked
      }
    }
    void wait() override {
      if (!work_) return;
      std::exchange(work_, nullptr)->wait();
      const auto* const in = static_cast<const uint8_t*>(in_.const_data_ptr());
      TORCH_CHECK(std::equal(in, in + in_.nbytes(), static_cast<const uint8_t*>(sent_.const_data_ptr())),
                  "the input of an all_to_all was changed before wait()");
      const auto* const out = static_cast<const uint8_t*>(out_.const_data_ptr());
      TORCH_CHECK(std::all_of(out, out + out_.nbytes(), [](uint8_t byte) { return byte == kNotYet; }),
                  "the output of an all_to_all was changed before wait()");
      out_.copy_(arrived_);
      if (stalls_.activity != nullptr) stalls_.activity->add_stall(stalls_.seconds_per_wait);
    }

   private:
    static constexpr uint8_t kNotYet = 0xFF;

    at::Tensor out_, in_, sent_, arrived_;
    MadeUpStalls stalls_;
    std::unique_ptr<Work> work_;
  };
  const at::Tensor& here(const at::Tensor& tensor) const {
    TORCH_CHECK(tensor.device().type() == device_.type() && tensor.is_contiguous(), "moves contiguous tensors on ",
                device_);
    return tensor;
  }

  std::unique_ptr<Communicator> host_;
  at::Device device_;
  MadeUpStalls stalls_;
};

}  // namespace cllm::testing
