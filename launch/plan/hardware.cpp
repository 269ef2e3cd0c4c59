#include "launch/plan/hardware.h"

#include <ATen/core/grad_mode.h>
#include <ATen/ops/mm.h>
#include <ATen/ops/randn.h>
#include <ATen/ops/zeros.h>

#include "dist/device/device.h"
#include "model/step/phases.h"

namespace cllm {
namespace {

/// Calls per second of `work`, repeated for at least 40 ms after one call to warm up.
template <typename Work>
double calls_per_s(at::Device device, Work&& work) {
  constexpr double kSeconds = 0.04;
  work();
  synchronize(device);
  Stopwatch watch;
  double seconds = 0, calls = 0;
  for (int burst = 1; seconds < kSeconds; burst *= 2) {  // on a GPU the host only waits between bursts
    for (int n = 0; n < burst; ++n) work();
    synchronize(device);
    seconds += watch.lap();
    calls += burst;
  }
  return calls / seconds;
}

}  // namespace

HardwareLimits measure_limits(at::Device device, at::ScalarType compute) {
  const at::NoGradGuard no_grad;
  const int64_t n = device.is_cuda() ? 8192 : 768, copied = device.is_cuda() ? int64_t{1} << 30 : int64_t{32} << 20;
  const at::TensorOptions on_device = at::TensorOptions().device(device);
  const at::Tensor a = at::randn({n, n}, on_device).to(compute),
                   b = a.clone();  // zeros would cost less power, and run faster
  at::Tensor c = a.clone(), from = at::zeros({copied}, on_device.dtype(at::kByte)), to = from.clone();
  const auto size = static_cast<double>(n);
  return {calls_per_s(device, [&] { at::mm_out(c, a, b); }) * 2 * size * size * size,
          calls_per_s(device, [&] { to.copy_(from); }) * 2 * static_cast<double>(copied)};
}

}  // namespace cllm
