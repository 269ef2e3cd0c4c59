#include "model/nn/products.h"

#include <ATen/ops/addmm.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/mm.h>
#include <ATen/ops/zeros.h>

#include <algorithm>

#include "model/kernels/compute_dtype.h"
#include "model/nn/few_sizes.h"

namespace cllm {
namespace {

constexpr int64_t kBlock = 1 << 22;  // values that are converted at a time: 16 MB in fp32

bool is_wide(const at::Tensor& x) { return x.is_cpu() && x.scalar_type() == at::kBFloat16 && !cpu_has_bf16(); }

/// f(first, count) for blocks of `extent` lines of `width` values each.
template <class Function>
void in_blocks(int64_t extent, int64_t width, Function f) {
  const int64_t step = std::max<int64_t>(1, kBlock / std::max<int64_t>(1, width));
  for (int64_t first = 0; first < extent; first += step) f(first, std::min(step, extent - first));
}

}  // namespace

at::Tensor wide_product(const at::Tensor& a, const at::Tensor& b) {
  const at::Tensor wide_a = a.to(at::kFloat);
  if (b.numel() <= kBlock) return at::mm(wide_a, b.to(at::kFloat)).to(a.scalar_type());
  at::Tensor out = at::empty({a.size(0), b.size(1)}, a.options());
  const int64_t inner = b.size(0), outer = b.size(1);
  if (outer >= inner) {  // columns of b, each for its columns of the result
    in_blocks(outer, inner, [&](int64_t first, int64_t count) {
      out.narrow(1, first, count).copy_(at::mm(wide_a, b.narrow(1, first, count).to(at::kFloat)));
    });
    return out;
  }
  at::Tensor sum = at::zeros({a.size(0), outer}, wide_a.options());
  in_blocks(inner, outer, [&](int64_t first, int64_t count) {
    sum.addmm_(wide_a.narrow(1, first, count), b.narrow(0, first, count).to(at::kFloat));
  });
  return out.copy_(sum);
}

at::Tensor rounded_product(const at::Tensor& a, const at::Tensor& b) {
  if (is_wide(a)) return wide_product(a, b);
  return is_compiled_for_size(a) ? at::mm(filled_rows(a), b).narrow(0, 0, a.size(0)) : at::mm(a, b);
}

at::Tensor product(const at::Tensor& a, const at::Tensor& b) {
  const at::ScalarType sums = residual_dtype(a.scalar_type());
  return a.is_cpu() || a.scalar_type() == sums ? rounded_product(a, b) : at::mm(a, b, sums);
}

void add_product(at::Tensor& sum, const at::Tensor& a, const at::Tensor& b) {
  if (a.scalar_type() == sum.scalar_type()) {
    sum.addmm_(a, b);
  } else if (is_wide(a)) {
    in_blocks(a.size(0), a.size(1), [&](int64_t first, int64_t count) {
      sum.narrow(0, first, count).addmm_(a.narrow(0, first, count).to(at::kFloat), b.to(at::kFloat));
    });
  } else if (a.is_cpu()) {
    sum.add_(at::mm(filled_rows(a.t()).t(), filled_rows(b)));
  } else {
    at::addmm_out(sum, sum, a, b, sum.scalar_type());
  }
}

void add_product_of_rows(at::Tensor& sum, const at::Tensor& a, const at::Tensor& b) {
  if (!is_compiled_for_size(a)) return add_product(sum, a, b);
  sum.add_(at::mm(filled_rows(a), b).narrow(0, 0, a.size(0)));
}

}  // namespace cllm
