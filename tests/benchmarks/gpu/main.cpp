// gpu_bench [results.json]: the GPU bars of one device, each beside a limit measured in the same run. What fails is
// reported and the rest goes on; exit code 70 then.

#include <ATen/cuda/CUDAContext.h>
#include <c10/core/InferenceMode.h>

#include <cstdio>
#include <cstdlib>
#include <exception>

#include "dist/device/device.h"
#include "tests/benchmarks/gpu/measure.h"

int main(int argc, char** argv) try {
  setenv("CUBLAS_WORKSPACE_CONFIG", ":4096:8", /*overwrite=*/0);  // as the program sets it
  const c10::InferenceMode inference;
  if (!at::hasCUDA() || at::cuda::device_count() == 0) {
    std::fprintf(stderr, "gpu_bench: no GPU is visible\n");
    return 64;
  }
  const cudaDeviceProp& device = *at::cuda::getCurrentDeviceProperties();
  std::printf("%s, %d multiprocessors, %.0f GB, CUDA %d\n", device.name, device.multiProcessorCount,
              static_cast<double>(device.totalGlobalMem) / 1e9, CUDART_VERSION);
  cllm::use_device(at::Device(at::kCUDA, 0));
  cllm::bench::Report report(argc > 1 ? argv[1] : "", device.name);
  const cllm::bench::Limits limits = cllm::bench::measure_limits(report);
  cllm::bench::measure_rows(limits, report);
  cllm::bench::measure_softmax(limits, report);
  cllm::bench::measure_steps(limits, report);
  cllm::bench::measure_ranking(limits, report);
  return report.num_failed() == 0 ? 0 : 70;
} catch (const std::exception& error) {
  std::fprintf(stderr, "gpu_bench: %s\n", error.what());
  return 70;
}
