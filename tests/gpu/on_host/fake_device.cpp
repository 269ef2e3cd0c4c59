// A GPU for machines without one, to libtorch the device "fake:0". Its memory is the host's; the kernels of
// model/kernels run on it as fibres (device.h), every other operator on CPU copies. As on a GPU, tensors must be moved
// to it and back, an operator refuses tensors of two devices, and backward passes run on a thread of their own. So a
// whole training step proves without a GPU that nothing of it reads the wrong memory.

#include <ATen/CPUGeneratorImpl.h>
#include <ATen/Context.h>
#include <ATen/EmptyTensor.h>
#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>
#include <ATen/detail/PrivateUse1HooksInterface.h>
#include <ATen/native/CPUFallback.h>
#include <ATen/native/Resize.h>
#include <ATen/native/TensorShape.h>
#include <ATen/ops/_reshape_alias_native.h>
#include <ATen/ops/as_strided_native.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/from_blob.h>
#include <ATen/ops/mm.h>
#include <ATen/ops/mul.h>
#include <ATen/ops/view_native.h>
#include <ATen/ops/zeros.h>
#include <c10/core/impl/DeviceGuardImplInterface.h>
#include <malloc.h>
#include <torch/library.h>

#include <cstdlib>

#include "tests/gpu/on_host/fake_memory.h"

namespace on_host {
namespace {

const c10::Device kFake(c10::DeviceType::PrivateUse1, 0);

void* allocate_words(size_t num_bytes) {
  constexpr size_t kAlignment = 256;
  return std::aligned_alloc(kAlignment, (num_bytes + kAlignment - 1) / kAlignment * kAlignment);
}

/// Tells libtorch's memory profilers, tests/support/peak_memory.h among them, what the device holds.
void count_memory(void* memory, bool taken) {
  const auto num_bytes = static_cast<int64_t>(malloc_usable_size(memory));
  c10::reportMemoryUsageToProfiler(memory, taken ? num_bytes : -num_bytes, 0, 0, kFake);
}

struct FakeMemory : c10::Allocator {
  c10::DataPtr allocate(size_t num_bytes) override {
    void* const data = num_bytes == 0 ? nullptr : allocate_words(num_bytes);
    if (data != nullptr) count_memory(data, true);
    return {data, data, &give_back, kFake};
  }
  static void give_back(void* data) {
    if (data != nullptr) count_memory(data, false);
    std::free(data);
  }
  c10::DeleterFnPtr raw_deleter() const override { return &give_back; }
  void copy_data(void* to, const void* from, size_t num_bytes) const override { std::memcpy(to, from, num_bytes); }
};
FakeMemory memory;

/// One device with one stream, on which everything has happened when a call returns.
struct FakeGuard : c10::impl::DeviceGuardImplInterface {
  c10::DeviceType type() const override { return kFake.type(); }
  c10::Device exchangeDevice(c10::Device) const override { return kFake; }
  c10::Device getDevice() const override { return kFake; }
  void setDevice(c10::Device) const override {}
  void uncheckedSetDevice(c10::Device) const noexcept override {}
  c10::Stream getStream(c10::Device) const override { return c10::Stream(c10::Stream::DEFAULT, kFake); }
  c10::Stream getDefaultStream(c10::Device) const override { return c10::Stream(c10::Stream::DEFAULT, kFake); }
  c10::Stream exchangeStream(c10::Stream) const override { return c10::Stream(c10::Stream::DEFAULT, kFake); }
  c10::DeviceIndex deviceCount() const noexcept override { return 1; }
  void record(void**, const c10::Stream&, c10::DeviceIndex, c10::EventFlag) const override {}
  void block(void*, const c10::Stream&) const override {}
  bool queryEvent(void*) const override { return true; }
  bool queryStream(const c10::Stream&) const override { return true; }
  void synchronizeStream(const c10::Stream&) const override {}
  void synchronizeDevice(c10::DeviceIndex) const override {}
};

/// What libtorch asks about a device of others; autograd needs it to be the accelerator of the process.
struct FakeHooks : at::PrivateUse1HooksInterface {
  bool isBuilt() const override { return true; }
  bool isAvailable() const override { return true; }
  bool hasPrimaryContext(c10::DeviceIndex) const override { return true; }
  const at::Generator& getDefaultGenerator(c10::DeviceIndex) const override {
    static const at::Generator generator = at::make_generator<at::CPUGeneratorImpl>();
    return generator;
  }
};

const bool registered = [] {
  static FakeHooks hooks;
  c10::register_privateuse1_backend("fake");
  at::RegisterPrivateUse1HooksInterface(&hooks);
  return true;
}();

/// The same memory as a CPU tensor.
at::Tensor seen_by_cpu(const at::Tensor& tensor) {
  if (tensor.is_cpu()) return tensor;
  return at::from_blob(tensor.numel() == 0 ? nullptr : tensor.mutable_data_ptr(), tensor.sizes(), tensor.strides(),
                       at::TensorOptions().dtype(tensor.scalar_type()));
}

at::Tensor empty(at::IntArrayRef sizes, std::optional<at::ScalarType> dtype, std::optional<at::Layout>,
                 std::optional<at::Device>, std::optional<bool>, std::optional<at::MemoryFormat> format) {
  return at::detail::empty_generic(sizes, &memory, c10::DispatchKeySet(c10::DispatchKey::PrivateUse1),
                                   dtype.value_or(at::kFloat), format);
}

at::Tensor empty_strided(at::IntArrayRef sizes, at::IntArrayRef strides, std::optional<at::ScalarType> dtype,
                         std::optional<at::Layout>, std::optional<at::Device>, std::optional<bool>) {
  return at::detail::empty_strided_generic(sizes, strides, &memory, c10::DispatchKeySet(c10::DispatchKey::PrivateUse1),
                                           dtype.value_or(at::kFloat));
}

at::Tensor copy_from(const at::Tensor& from, const at::Tensor& to, bool) {
  seen_by_cpu(to).copy_(seen_by_cpu(from));
  return to;
}

/// Writes the result of a CPU operator to its output on the device, which may have had no size yet.
at::Tensor copy_from_and_resize(const at::Tensor& from, const at::Tensor& to) {
  if (from.sizes() != to.sizes()) {
    const at::Tensor fresh = at::empty(from.sizes(), to.options());
    to.unsafeGetTensorImpl()->set_storage_keep_dtype(fresh.storage());
    to.unsafeGetTensorImpl()->set_sizes_and_strides(fresh.sizes(), fresh.strides());
  }
  return copy_from(from, to, false);
}

/// Products of bf16 matrices with sums in fp32, which libtorch has for GPUs only, and what it asks of them there.
at::Tensor mm_dtype(const at::Tensor& a, const at::Tensor& b, at::ScalarType out) {
  TORCH_CHECK(a.device() == kFake && b.device() == kFake, "Expected all tensors of mm to be on the same device");
  TORCH_CHECK(
      a.scalar_type() == b.scalar_type() && (out == a.scalar_type() || (out == at::kFloat && a.itemsize() == 2)),
      "out_dtype must be the same as input dtype or fp32 for fp16/bf16 inputs");
  return at::mm(seen_by_cpu(a).to(out), seen_by_cpu(b).to(out)).to(kFake);
}

at::Tensor& addmm_dtype_out(const at::Tensor& self, const at::Tensor& a, const at::Tensor& b, at::ScalarType out,
                            const at::Scalar& beta, const at::Scalar& alpha, at::Tensor& result) {
  TORCH_CHECK(result.scalar_type() == out && (self.scalar_type() == out || self.scalar_type() == a.scalar_type()),
              "self dtype must match either out_dtype or mat1 dtype");
  const at::Tensor sum = at::mul(self, beta).to(out).add_(mm_dtype(a, b, out), alpha);
  return result.copy_(sum);
}

void refuse_mixed(const c10::OperatorHandle& op, const at::Tensor& tensor) {
  TORCH_CHECK(!tensor.defined() || tensor.dim() == 0 || tensor.device() == kFake, "Expected all tensors of ",
              op.operator_name().name, " to be on the same device, found one on ", tensor.device());
}

void run_on_cpu(const c10::OperatorHandle& op, torch::jit::Stack* stack) {
  for (const c10::IValue& value : torch::jit::last(*stack, op.schema().arguments().size())) {
    if (value.isTensor()) refuse_mixed(op, value.toTensor());
    if (value.isTensorList()) {
      for (const at::Tensor& tensor : value.toTensorVector()) refuse_mixed(op, tensor);
    }
  }
  at::native::cpu_fallback(op, stack);
}

}  // namespace

C10_REGISTER_GUARD_IMPL(PrivateUse1, FakeGuard);

at::Tensor zeros_with_rows_on_host(at::IntArrayRef sizes, at::ScalarType dtype, at::Device device,
                                   int64_t rows_on_host) {
  const auto options = at::TensorOptions().dtype(dtype).device(device);
  if (sizes[0] == 0) return at::zeros(sizes, options);
  const auto num_bytes = static_cast<size_t>(c10::multiply_integers(sizes)) * c10::elementSize(dtype);
  const auto on_device = static_cast<int64_t>(num_bytes) / sizes[0] * (sizes[0] - rows_on_host);
  void* const data = allocate_words(num_bytes);
  c10::reportMemoryUsageToProfiler(data, on_device, 0, 0, kFake);
  const auto give_back = [on_device](void* memory_of_both) {
    c10::reportMemoryUsageToProfiler(memory_of_both, -on_device, 0, 0, kFake);
    std::free(memory_of_both);
  };
  return at::from_blob(data, sizes, give_back, options, device).zero_();
}

}  // namespace on_host

TORCH_LIBRARY_IMPL(aten, PrivateUse1, library) {
  library.impl("empty.memory_format", on_host::empty);
  library.impl("empty_strided", on_host::empty_strided);
  library.impl("_copy_from", on_host::copy_from);
  library.impl("_copy_from_and_resize", on_host::copy_from_and_resize);
  library.impl("as_strided", at::native::as_strided_tensorimpl);
  library.impl("view", at::native::view);
  library.impl("_reshape_alias", at::native::_reshape_alias);
  library.impl("mm.dtype", on_host::mm_dtype);
  library.impl("addmm.dtype_out", on_host::addmm_dtype_out);
}

TORCH_LIBRARY_IMPL(_, PrivateUse1, library) {
  library.fallback(torch::CppFunction::makeFromBoxedFunction<&on_host::run_on_cpu>());
}
