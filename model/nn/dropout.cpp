#include "model/nn/dropout.h"

#include <ATen/Dispatch.h>
#include <ATen/Parallel.h>
#include <ATen/ops/empty_like.h>

#include <bit>
#include <type_traits>

#include "model/kernels/cpu/cpu_math.h"
#include "model/kernels/elementwise/cuda.h"
#include "model/nn/differentiable.h"

namespace cllm {
namespace {

template <class F>
CLLM_SIMD_CLONES void dropout_rows(F* out, const F* in, const DropoutMask& mask, int64_t width,
                                   std::pair<int64_t, int64_t> rows) {
  using Bits = std::conditional_t<sizeof(F) == sizeof(uint32_t), uint32_t, uint64_t>;
  const F scale = static_cast<F>(mask.scale());
  for (int64_t t = rows.first; t < rows.second; ++t) {
    const DropoutMask::Row row = mask.row(t);
    F* o = out + t * width;
    const F* x = in + t * width;
    CLLM_SIMD
    for (int64_t d = 0; d < width; ++d) {  // a choice between two numbers would become a branch that half of all miss
      const Bits all_or_none = Bits(0) - static_cast<Bits>(row.keeps(static_cast<uint32_t>(d)));
      o[d] = std::bit_cast<F>(std::bit_cast<Bits>(x[d] * scale) & all_or_none);
    }
  }
}

at::Tensor apply_mask(const at::Tensor& x_TD, const DropoutSite& site) {
  const at::Tensor in = x_TD.contiguous();
  if (!in.is_cpu()) return kernels::cuda::dropout(in, site.keys_T, site.rate, site.salt);
  at::Tensor out = at::empty_like(in);
  const DropoutMask mask(site);
  AT_DISPATCH_FLOATING_TYPES(in.scalar_type(), "dropout", [&] {
    at::parallel_for(0, in.size(0), 16, [&](int64_t begin, int64_t end) {
      dropout_rows(out.mutable_data_ptr<scalar_t>(), in.const_data_ptr<scalar_t>(), mask, in.size(1), {begin, end});
    });
  });
  return out;
}

struct MaskedRows : Differentiable {
  DropoutSite site;
  explicit MaskedRows(DropoutSite dropout) : site(std::move(dropout)) {}

  Tensors forward(const Tensors& x, Tensors&) const override { return {apply_mask(x[0], site)}; }
  Tensors backward(const Saved&, const Tensors& gradients) const override { return {apply_mask(gradients[0], site)}; }
};

}  // namespace

at::Tensor dropout(const at::Tensor& x_TD, const DropoutSite& site) {
  return site.active() ? apply(MaskedRows(site), {x_TD})[0] : x_TD;
}

}  // namespace cllm
