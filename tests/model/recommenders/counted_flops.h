#pragma once

#include <ATen/record_function.h>

#include <atomic>
#include <functional>
#include <string>

namespace cllm::testing {

inline std::atomic<int64_t>& flops_counter() {
  static std::atomic<int64_t> count{0};
  return count;
}

/// Floating-point operations of the matrix products (mm, addmm, addmm_) that libtorch makes in `work`, in any thread.
inline double counted_flops(const std::function<void()>& work) {
  flops_counter() = 0;
  const auto handle = at::addGlobalCallback(at::RecordFunctionCallback([](const at::RecordFunction& call) {
                                              const std::string name = call.name();
                                              const size_t first = name.starts_with("aten::addmm") ? 1 : 0;
                                              if (name == "aten::mm" || first == 1) {
                                                const auto inputs = call.inputs();
                                                const at::Tensor &a = inputs[first].toTensor(),
                                                                 &b = inputs[first + 1].toTensor();
                                                flops_counter() += 2 * a.size(0) * a.size(1) * b.size(1);
                                              }
                                              return std::unique_ptr<at::ObserverContext>();
                                            })
                                                .needsInputs(true)
                                                .scopes({at::RecordScope::FUNCTION}));
  work();
  at::removeCallback(handle);
  return static_cast<double>(flops_counter());
}

}  // namespace cllm::testing
