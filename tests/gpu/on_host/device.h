#pragma once

// CUDA's kernel language for a C++ compiler: the .cu files of model/kernels, compiled with this header in front and
// this folder before the source folder in the include path, run on the CPU. Every thread of a block is a fibre; a
// barrier hands over to the next one. So indexing, tails, barriers and the order of sums are tested without a GPU. Not
// modelled: speed, memory coherence between blocks.

#include <math.h>
#include <algorithm>
#include <cstdint>
#include <functional>

#define __global__
#define __device__
#define __host__
#define __forceinline__ inline
#define __launch_bounds__(...)
#define __restrict__ __restrict
#define __shared__ static

struct alignas(16) int4 {
  int x, y, z, w;
};
struct Index3 {
  unsigned x = 0, y = 0, z = 0;
};

namespace on_host {

struct Thread {
  Index3 thread, block, block_size;
};
/// The running fibre.
const Thread& current();
/// Waits for all threads of the block. Throws if one of them has left: on a device that is undefined.
void barrier();
/// The word of the thread `lane` bits away in the same warp.
uint64_t exchange(uint64_t word, int lane);
/// Runs `kernel` for every thread of every block, block after block.
void run(int64_t blocks, int64_t x, int64_t y, const std::function<void()>& kernel);

}  // namespace on_host

#define threadIdx (on_host::current().thread)
#define blockIdx (on_host::current().block)
#define blockDim (on_host::current().block_size)

inline void __syncthreads() { on_host::barrier(); }

template <typename T>
T __ldg(const T* from) {
  return *from;
}

template <typename T>
T __shfl_xor_sync(unsigned, T value, int lane) {
  uint64_t word = 0;
  static_assert(sizeof(T) <= sizeof(word));
  __builtin_memcpy(&word, &value, sizeof(T));
  word = on_host::exchange(word, lane);
  __builtin_memcpy(&value, &word, sizeof(T));
  return value;
}
