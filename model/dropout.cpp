#include "model/dropout.h"

#include <ATen/Dispatch.h>
#include <ATen/Parallel.h>
#include <ATen/ops/empty_like.h>
#include <torch/csrc/autograd/custom_function.h>

#include "model/cpu_math.h"

namespace cllm {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

template <class F>
CLLM_SIMD_CLONES void dropout_rows(F* out, const F* in, const DropoutMask& mask, int64_t width, std::pair<int64_t, int64_t> rows) {
  const F scale = static_cast<F>(mask.scale());
  for (int64_t t = rows.first; t < rows.second; ++t) {
    const DropoutMask::Row row = mask.row(t);
    F* o = out + t * width;
    const F* x = in + t * width;
    for (int64_t d = 0; d < width; ++d) o[d] = row.keeps(static_cast<uint32_t>(d)) ? x[d] * scale : F(0);
  }
}

at::Tensor apply_mask(const at::Tensor& x_TD, const at::Tensor& keys_T, DropoutSite site) {
  const at::Tensor in = x_TD.contiguous();
  at::Tensor out = at::empty_like(in);
  const DropoutMask mask(keys_T, site);
  AT_DISPATCH_FLOATING_TYPES(in.scalar_type(), "dropout", [&] {
    at::parallel_for(0, in.size(0), 16, [&](int64_t begin, int64_t end) {
      dropout_rows(out.mutable_data_ptr<scalar_t>(), in.const_data_ptr<scalar_t>(), mask, in.size(1), {begin, end});
    });
  });
  return out;
}

struct DropoutFunction : torch::autograd::Function<DropoutFunction> {
  static at::Tensor forward(AutogradContext* ctx, const at::Tensor& x_TD, const at::Tensor& keys_T, double rate, int64_t salt) {
    ctx->save_for_backward({keys_T});
    ctx->saved_data["rate"] = rate;
    ctx->saved_data["salt"] = salt;
    return apply_mask(x_TD, keys_T, {rate, static_cast<uint64_t>(salt)});
  }
  static variable_list backward(AutogradContext* ctx, variable_list gradients) {
    const DropoutSite site{ctx->saved_data["rate"].toDouble(), static_cast<uint64_t>(ctx->saved_data["salt"].toInt())};
    return {apply_mask(gradients[0], ctx->get_saved_variables()[0], site), {}, {}, {}};
  }
};

}  // namespace

at::Tensor dropout(const at::Tensor& x_TD, const at::Tensor& keys_T, DropoutSite site) {
  if (!keys_T.defined() || site.rate == 0) return x_TD;
  return DropoutFunction::apply(x_TD, keys_T, site.rate, static_cast<int64_t>(site.salt));
}

}  // namespace cllm
