#include "model/nn/attention.h"

#include <ATen/Parallel.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/sum.h>

#include <algorithm>
#include <array>
#include <vector>

#include "model/kernels/compute_dtype.h"
#include "model/kernels/cpu/cpu_math.h"
#include "model/nn/device_attention.h"
#include "model/nn/differentiable.h"

// libtorch exports its BLAS (MKL on x86-64, OpenBLAS on ARM) under the standard names. Inside a parallel region it runs
// on one thread.
extern "C" {
void sgemm_(const char*, const char*, const int*, const int*, const int*, const float*, const float*, const int*,
            const float*, const int*, const float*, float*, const int*);
void dgemm_(const char*, const char*, const int*, const int*, const int*, const double*, const double*, const int*,
            const double*, const int*, const double*, double*, const int*);
}

namespace cllm {
namespace {

// Queries are handled in blocks, so that a block meets only the keys up to its last row and the scores stay in the
// cache.
constexpr int64_t kQueryBlock = 48;

/// A row-major matrix, or the transpose of one.
template <class F>
struct Operand {
  const F* data;
  int64_t stride;
  bool transposed = false;
};

/// C [m, n] = A [m, k] B [k, n] + beta C, row-major; C has row stride `stride`.
template <class F>
void multiply(F* c, int64_t stride, std::array<int64_t, 3> mnk, Operand<F> a, Operand<F> b, F beta) {
  // Row-major C = A B is column-major C^T = B^T A^T.
  const int m = static_cast<int>(mnk[0]), n = static_cast<int>(mnk[1]), k = static_cast<int>(mnk[2]);
  const int lda = static_cast<int>(a.stride), ldb = static_cast<int>(b.stride), ldc = static_cast<int>(stride);
  const char ta = a.transposed ? 'T' : 'N', tb = b.transposed ? 'T' : 'N';
  const F one = 1;
  if constexpr (std::is_same_v<F, float>) {
    sgemm_(&tb, &ta, &n, &m, &k, &one, b.data, &ldb, a.data, &lda, &beta, c, &ldc);
  } else {
    dgemm_(&tb, &ta, &n, &m, &k, &one, b.data, &ldb, a.data, &lda, &beta, c, &ldc);
  }
}

/// to [n, width] = (from + bias) * scale, converted.
template <class R, class C>
CLLM_SIMD_CLONES void load_rows(R* to, const C* from, int64_t from_stride, std::array<int64_t, 2> shape, const R* bias,
                                R scale) {
  for (int64_t i = 0; i < shape[0]; ++i) {
    CLLM_SIMD
    for (int64_t d = 0; d < shape[1]; ++d)
      to[i * shape[1] + d] = (static_cast<R>(from[i * from_stride + d]) + bias[d]) * scale;
  }
}

template <class R, class C>
CLLM_SIMD_CLONES void store_rows(C* to, int64_t to_stride, const R* from, std::array<int64_t, 2> shape, R scale) {
  for (int64_t i = 0; i < shape[0]; ++i) {
    CLLM_SIMD
    for (int64_t d = 0; d < shape[1]; ++d) to[i * to_stride + d] = cpu::convert<C>(from[i * shape[1] + d] * scale);
  }
}

/// Scores of `visible` keys -> probabilities; the rest of the row becomes 0. Returns the log of the sum of
/// exponentials.
template <class R>
CLLM_SIMD_CLONES R softmax_row(R* row, int64_t visible, int64_t length) {
  R top = row[0], sum = 0;
  CLLM_SIMD_MAX(top)
  for (int64_t s = 0; s < visible; ++s) top = row[s] > top ? row[s] : top;
  CLLM_SIMD_SUM(sum)
  for (int64_t s = 0; s < visible; ++s) {
    row[s] = cpu::fast_exp(row[s] - top);
    sum += row[s];
  }
  const R inverse = R(1) / sum;
  CLLM_SIMD
  for (int64_t s = 0; s < visible; ++s) row[s] *= inverse;
  std::fill(row + visible, row + length, R(0));
  return top + std::log(sum);
}

/// The same probabilities again from the saved log-sum-exp.
template <class R>
CLLM_SIMD_CLONES void probability_row(R* row, R lse, int64_t visible, int64_t length) {
  CLLM_SIMD
  for (int64_t s = 0; s < visible; ++s) row[s] = cpu::fast_exp(row[s] - lse);
  std::fill(row + visible, row + length, R(0));
}

/// out = mask(in) * scale on the visible part; out may be in.
template <class R>
CLLM_SIMD_CLONES void drop_row(R* out, const R* in, DropoutMask::Row mask, R scale, int64_t visible) {
  CLLM_SIMD
  for (int64_t s = 0; s < visible; ++s) out[s] = mask.keeps(static_cast<uint32_t>(s)) ? in[s] * scale : R(0);
}

/// gradient of the probabilities -> gradient of the scores, in place: p * (g - sum p g).
template <class R>
CLLM_SIMD_CLONES void softmax_gradient_row(R* gradient, const R* probability, int64_t visible, int64_t length) {
  R sum = 0;
  CLLM_SIMD_SUM(sum)
  for (int64_t s = 0; s < visible; ++s) sum += gradient[s] * probability[s];
  CLLM_SIMD
  for (int64_t s = 0; s < visible; ++s) gradient[s] = probability[s] * (gradient[s] - sum);
  std::fill(gradient + visible, gradient + length, R(0));
}

/// What all heads share. H heads, D width, d = D / H.
template <class R, class C>
struct Shared {
  const C* qkv;   // [T, 3D]
  const R* bias;  // [3D]
  R* lse;         // [H, T]
  const PackedLayout& layout;
  int64_t num_heads, width;
  DropoutMask mask;

  int64_t head_width() const { return width / num_heads; }
};

/// One head of one sequence: contiguous copies of its rows in R, with bias, queries scaled by 1 / sqrt(d).
template <class R, class C>
class Head {
 public:
  explicit Head(const Shared<R, C>& shared) : shared_(shared), d_(shared.head_width()) {
    const int64_t longest = shared.layout.longest;
    for (auto* rows : {&q_, &k_, &v_, &o_}) rows->resize(longest * d_);
    scores_.resize(std::min(longest, kQueryBlock) * longest);
  }

  void forward(int64_t sequence, int64_t head, C* out) {
    load(sequence, head);
    for (int64_t begin = 0; begin < n_; begin += block_) {
      const int64_t rows = std::min(block_, n_ - begin), keys = begin + rows;
      multiply<R>(scores_.data(), keys, {rows, keys, d_}, {&q_[begin * d_], d_}, {k_.data(), d_, true}, 0);
      for (int64_t i = 0; i < rows; ++i) {
        R* row = &scores_[i * keys];
        lse(begin + i) = softmax_row(row, begin + i + 1, keys);
        if (shared_.mask.active())
          drop_row(row, row, mask(begin + i), static_cast<R>(shared_.mask.scale()), begin + i + 1);
      }
      multiply<R>(&o_[begin * d_], d_, {rows, d_, keys}, {scores_.data(), keys}, {v_.data(), d_}, 0);
    }
    store_rows<R, C>(out + first_ * shared_.width + head * d_, shared_.width, o_.data(), {n_, d_}, R(1));
  }

  void backward(int64_t sequence, int64_t head, const C* grad_out, C* grad_qkv) {
    load(sequence, head);
    const std::vector<R> no_bias(d_, 0);
    load_rows<R, C>(o_.data(), grad_out + first_ * shared_.width + head * d_, shared_.width, {n_, d_}, no_bias.data(),
                    R(1));
    for (auto* rows : {&grad_q_, &grad_k_, &grad_v_}) rows->assign(n_ * d_, 0);
    grad_scores_.resize(scores_.size());
    dropped_.resize(shared_.mask.active() ? scores_.size() : 0);
    for (int64_t begin = 0; begin < n_; begin += block_) backward_block(begin, std::min(block_, n_ - begin));
    const int64_t stride = 3 * shared_.width;
    C* to = grad_qkv + first_ * stride + head * d_;
    store_rows<R, C>(to, stride, grad_q_.data(), {n_, d_}, scale());
    store_rows<R, C>(to + shared_.width, stride, grad_k_.data(), {n_, d_}, R(1));
    store_rows<R, C>(to + 2 * shared_.width, stride, grad_v_.data(), {n_, d_}, R(1));
  }

 private:
  R scale() const { return R(1) / std::sqrt(static_cast<R>(d_)); }
  R& lse(int64_t i) { return shared_.lse[head_ * shared_.layout.num_tokens() + first_ + i]; }
  DropoutMask::Row mask(int64_t i) const { return shared_.mask.row(first_ + i, static_cast<uint64_t>(head_)); }

  void load(int64_t sequence, int64_t head) {
    head_ = head;
    first_ = shared_.layout.offsets[sequence];
    n_ = shared_.layout.offsets[sequence + 1] - first_;
    block_ = n_ == 0 ? 1 : (n_ + num_blocks() - 1) / num_blocks();
    const int64_t width = shared_.width;
    const C* from = shared_.qkv + first_ * 3 * width + head * d_;
    const R* bias = shared_.bias + head * d_;
    load_rows<R, C>(q_.data(), from, 3 * width, {n_, d_}, bias, scale());
    load_rows<R, C>(k_.data(), from + width, 3 * width, {n_, d_}, bias + width, R(1));
    load_rows<R, C>(v_.data(), from + 2 * width, 3 * width, {n_, d_}, bias + 2 * width, R(1));
  }
  int64_t num_blocks() const { return (n_ + kQueryBlock - 1) / kQueryBlock; }

  void backward_block(int64_t begin, int64_t rows) {
    const int64_t keys = begin + rows;
    R* dropped = shared_.mask.active() ? dropped_.data() : scores_.data();
    const R factor = static_cast<R>(shared_.mask.scale());
    multiply<R>(scores_.data(), keys, {rows, keys, d_}, {&q_[begin * d_], d_}, {k_.data(), d_, true}, 0);
    multiply<R>(grad_scores_.data(), keys, {rows, keys, d_}, {&o_[begin * d_], d_}, {v_.data(), d_, true}, 0);
    for (int64_t i = 0; i < rows; ++i) {
      const int64_t visible = begin + i + 1;
      R *p = &scores_[i * keys], *g = &grad_scores_[i * keys];
      probability_row(p, lse(begin + i), visible, keys);
      if (shared_.mask.active()) {
        drop_row(g, g, mask(begin + i), factor, visible);
        drop_row(dropped + i * keys, p, mask(begin + i), factor, visible);
        std::fill(dropped + i * keys + visible, dropped + (i + 1) * keys, R(0));
      }
      softmax_gradient_row(g, p, visible, keys);
    }
    multiply<R>(grad_v_.data(), d_, {keys, d_, rows}, {dropped, keys, true}, {&o_[begin * d_], d_}, 1);
    multiply<R>(grad_k_.data(), d_, {keys, d_, rows}, {grad_scores_.data(), keys, true}, {&q_[begin * d_], d_}, 1);
    multiply<R>(&grad_q_[begin * d_], d_, {rows, d_, keys}, {grad_scores_.data(), keys}, {k_.data(), d_}, 0);
  }

  const Shared<R, C>& shared_;
  int64_t d_, head_ = 0, first_ = 0, n_ = 0, block_ = 1;
  std::vector<R> q_, k_, v_, o_, scores_, grad_q_, grad_k_, grad_v_, grad_scores_, dropped_;
};

/// f(head, sequence index, head index) for all heads of all sequences. Heads vary slowest: every thread meets every
/// length.
template <class R, class C, class Function>
void for_each_head(const Shared<R, C>& shared, Function f) {
  const int64_t sequences = shared.layout.num_sequences();
  at::parallel_for(0, shared.num_heads * sequences, 1, [&](int64_t begin, int64_t end) {
    Head<R, C> head(shared);
    for (int64_t n = begin; n < end; ++n) f(head, n % sequences, n / sequences);
  });
}

/// Inputs qkv, bias.
struct Attention : Differentiable {
  PackedLayout layout;
  int64_t num_heads;
  DropoutSite site;
  Attention(PackedLayout packed, int64_t heads, DropoutSite dropout)
      : layout(std::move(packed)), num_heads(heads), site(std::move(dropout)) {}

  Tensors forward(const Tensors& inputs, Tensors& saved) const override {
    const at::Tensor &qkv = inputs[0], &bias = inputs[1];
    const int64_t width = qkv.size(1) / 3;
    at::Tensor out = at::empty({qkv.size(0), width}, qkv.options());
    at::Tensor lse = at::empty({num_heads, qkv.size(0)}, bias.options());
    dispatch_compute(qkv.scalar_type(), [&]<class R, class C>(R, C) {
      const Shared<R, C> shared{
          qkv.const_data_ptr<C>(), bias.const_data_ptr<R>(), lse.mutable_data_ptr<R>(), layout, num_heads, width,
          DropoutMask(site)};
      for_each_head(shared,
                    [&](Head<R, C>& head, int64_t b, int64_t h) { head.forward(b, h, out.mutable_data_ptr<C>()); });
    });
    saved = {qkv, bias, lse};
    return {out};
  }

  Tensors backward(const Saved& saved, const Tensors& gradients) const override {
    const at::Tensor &qkv = saved.tensors[0], &bias = saved.tensors[1], &lse = saved.tensors[2];
    const at::Tensor grad_out = gradients[0].contiguous();
    at::Tensor grad_qkv = at::empty_like(qkv);
    dispatch_compute(qkv.scalar_type(), [&]<class R, class C>(R, C) {
      const Shared<R, C> shared{
          qkv.const_data_ptr<C>(), bias.const_data_ptr<R>(), lse.mutable_data_ptr<R>(), layout, num_heads,
          qkv.size(1) / 3,         DropoutMask(site)};
      for_each_head(shared, [&](Head<R, C>& head, int64_t b, int64_t h) {
        head.backward(b, h, grad_out.const_data_ptr<C>(), grad_qkv.mutable_data_ptr<C>());
      });
    });
    return {grad_qkv, saved.wanted[1] ? at::sum(grad_qkv, 0).to(bias.scalar_type()) : at::Tensor()};
  }
};

}  // namespace

at::Tensor causal_attention(const at::Tensor& qkv_T3D, const at::Tensor& bias_3D, const PackedLayout& layout,
                            int64_t num_heads, const DropoutSite& site) {
  if (!qkv_T3D.is_cpu()) return device::causal_attention(qkv_T3D, bias_3D, layout, num_heads, site);
  return apply(Attention(layout, num_heads, site), {qkv_T3D.contiguous(), bias_3D})[0];
}

}  // namespace cllm
