#pragma once

// Where a rank computes. In a build without CUDA only the CPU exists, and the functions that need a GPU throw
// DeviceError.

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace cllm {

/// The GPU of a rank: number `local_rank` of the visible ones. Throws DeviceError if there are fewer. `shared`, for
/// tests only: ranks beyond the number of GPUs take one that is taken.
at::Device device_of_rank(int local_rank, bool shared = false);

/// Its number if the host has `num_gpus`, for every kind of device. Throws DeviceError.
int gpu_of_rank(int local_rank, int num_gpus, bool shared);

/// Makes it this thread's device and sets what every sum on it relies on: bf16 products are summed in fp32, and
/// libtorch takes algorithms that give the same bits in every run. No-op for the CPU.
void use_device(at::Device device);

/// The most bytes of a GPU's memory that this process has held at once; 0 for the CPU.
int64_t peak_bytes(at::Device device);

/// Returns when the device has done what all streams hold. No-op for the CPU.
void synchronize(at::Device device);

/// A named range of this thread's time for NVIDIA's profilers (NVTX); nothing in a build without CUDA. Ranges nest.
void begin_range(const char* name);
void end_range();

/// "cuda:0 NVIDIA H200, 139.8 GiB, 132 SMs, compute capability 9.0"; "cpu".
std::string describe(at::Device device);

/// Zeros [sizes] on `device`, the first `rows_on_host` rows of which are in memory of the host: kernels on the GPU read
/// and write them there, over its bus, like any others. Throws DeviceError on a GPU that cannot.
at::Tensor zeros_with_rows_on_host(at::IntArrayRef sizes, at::ScalarType dtype, at::Device device,
                                   int64_t rows_on_host);

/// Copies of tensors of a device in memory of the host, made beside what the device goes on to compute. Two threads:
/// one starts the copies and goes on, the other waits for them.
class HostCopies {
 public:
  explicit HostCopies(at::Device device);
  ~HostCopies();
  HostCopies(const HostCopies&) = delete;
  HostCopies& operator=(const HostCopies&) = delete;

  /// Memory that copies reach at full speed (pinned).
  at::Tensor buffer(at::IntArrayRef sizes, at::ScalarType dtype) const;
  /// Copies every tensor to its buffer, on a stream of their own, behind what the current stream holds now. Keeps them
  /// alive.
  void start(const std::vector<std::pair<at::Tensor, at::Tensor>>& from_to);
  /// What the current stream gets from now on happens after the copies; the host does not wait. Call it on the thread
  /// of start(), before anything that changes what is being copied. No-op if nothing is under way.
  void before_change();
  /// Returns when the copies are made. Any thread.
  void wait();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

/// `host` in memory from which upload() reaches `device` at full speed: pinned for a GPU, otherwise itself.
at::Tensor staged(const at::Tensor& host, at::Device device);

/// `host` on `device`; itself if it is there already. To a GPU through pinned memory on the current stream: the host
/// does not wait.
at::Tensor upload(const at::Tensor& host, at::Device device);

}  // namespace cllm
