#include "model/nn/heads/packed_heads.h"

#include <ATen/Parallel.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <vector>

#include "model/kernels/compute_dtype.h"
#include "model/kernels/cpu/cpu_math.h"
#include "model/nn/heads/multiply.h"
#include "model/nn/heads/score_rows.h"
#include "model/nn/heads/stand_behind.h"

namespace cllm::heads {
namespace {

// Rows of queries are handled in blocks, so that a block meets only the keys that one of them sees and the scores stay
// in the cache.
constexpr int64_t kQueryBlock = 48;

/// Rows of all tokens of one of q, k, v, out or their gradients: head k of token t begins at data + t stride + k w,
/// with w = d of a key head, G d of its queries.
template <class C>
struct Tokens {
  C* data;
  int64_t stride;
};

/// What all heads share.
template <class R, class C>
struct Shared {
  Tokens<const C> q, k, v;
  const R *bias_q, *bias_k, *bias_v;  // by column of q, k and v; zeros where there is none
  R* lse;                             // [K G, T]
  const PackedLayout& layout;
  int64_t num_kv_heads, group, head_width;  // K, G, d
  R scale;                                  // of q k
  int64_t window;                           // keys that a query sees, itself included; 0: all before it
  DropoutMask mask;
  const StandBehind* behind;  // null: no sequence stands behind another
};

template <class C>
struct HeadGradients {
  Tokens<C> q, k, v;
};

/// One key head of one sequence with all its query heads: contiguous copies of its rows in R, with bias, queries
/// scaled. Row r of the queries is token r / G, query head r % G.
template <class R, class C>
class Head {
 public:
  explicit Head(const Shared<R, C>& shared) : shared_(shared), d_(shared.head_width), G_(shared.group) {
    const int64_t longest = shared.layout.longest;
    for (auto* rows : {&k_, &v_}) rows->resize(longest * d_);
    for (auto* rows : {&q_, &o_}) rows->resize(longest * G_ * d_);
    scores_.resize(std::min(longest, tokens_of_block()) * G_ * longest);
  }

  void forward(int64_t sequence, int64_t head, Tokens<C> out) {
    load(sequence, head);
    for (int64_t begin = 0; begin < n_; begin += block_) {
      const Block b = block_from(begin);
      multiply<R>(scores_.data(), b.keys, {b.rows, b.keys, d_}, {query(b), d_}, {key(b), d_, true}, 0);
      for (int64_t r = 0; r < b.rows; ++r) {
        R* row = &scores_[r * b.keys];
        lse(b, r) = softmax_row(row, visible(b, r));
        if (shared_.mask.active())
          drop_row(row, row, mask(b, r), static_cast<R>(shared_.mask.scale()), visible(b, r), b.first_key);
      }
      multiply<R>(&o_[b.begin * G_ * d_], d_, {b.rows, d_, b.keys}, {scores_.data(), b.keys},
                  {&v_[b.first_key * d_], d_}, 0);
    }
    store(out, o_, G_ * d_, R(1));
  }

  void backward(int64_t sequence, int64_t head, Tokens<const C> grad_out, HeadGradients<C> to) {
    load(sequence, head);
    TORCH_CHECK(before_ == 0, "gradients of a sequence that stands behind another");
    const std::vector<R> no_bias(G_ * d_, 0);
    load_rows<R, C>(o_.data(), grad_out.data + first_ * grad_out.stride + head_ * G_ * d_, grad_out.stride,
                    {n_, G_ * d_}, no_bias.data(), R(1));
    grad_q_.resize(n_ * G_ * d_);
    for (auto* rows : {&grad_k_, &grad_v_}) rows->assign(n_ * d_, 0);
    grad_scores_.resize(scores_.size());
    dropped_.resize(shared_.mask.active() ? scores_.size() : 0);
    for (int64_t begin = 0; begin < n_; begin += block_) backward_block(block_from(begin));
    store(to.q, grad_q_, G_ * d_, shared_.scale);
    store(to.k, grad_k_, d_, R(1));
    store(to.v, grad_v_, d_, R(1));
  }

 private:
  /// Some tokens' queries, and the keys that one of them sees. Keys count from the first that any token of the sequence
  /// sees: before_ of another sequence may stand before its own.
  struct Block {
    int64_t begin, rows, first_key, keys;
  };

  int64_t tokens_of_block() const { return std::max<int64_t>(1, kQueryBlock / G_); }
  Block block_from(int64_t begin) const {
    const int64_t end = std::min(begin + block_, n_), first = first_visible(begin);
    return {begin, (end - begin) * G_, first, before_ + end - first};
  }
  int64_t first_visible(int64_t token) const {
    return shared_.window > 0 ? std::max<int64_t>(0, before_ + token - shared_.window + 1) : 0;
  }
  Visible visible(const Block& b, int64_t r) const {
    const int64_t token = b.begin + r / G_;
    return {first_visible(token) - b.first_key, before_ + token + 1 - b.first_key, b.keys};
  }
  int64_t query_head(int64_t r) const { return head_ * G_ + r % G_; }
  R& lse(const Block& b, int64_t r) {
    return shared_.lse[query_head(r) * shared_.layout.num_tokens() + first_ + b.begin + r / G_];
  }
  DropoutMask::Row mask(const Block& b, int64_t r) const {
    return shared_.mask.row(first_ + b.begin + r / G_, static_cast<uint64_t>(query_head(r)));
  }
  const R* query(const Block& b) const { return &q_[b.begin * G_ * d_]; }
  const R* key(const Block& b) const { return &k_[b.first_key * d_]; }

  void load(int64_t sequence, int64_t head) {
    head_ = head;
    first_ = shared_.layout.offsets[sequence];
    n_ = shared_.layout.offsets[sequence + 1] - first_;
    const int64_t num_blocks = (n_ + tokens_of_block() - 1) / tokens_of_block();
    block_ = n_ == 0 ? 1 : (n_ + num_blocks - 1) / num_blocks;
    const int64_t other = shared_.behind == nullptr ? -1 : shared_.behind->of(sequence);
    const int64_t first_before = other < 0 ? 0 : shared_.layout.offsets[other];
    before_ = other < 0 ? 0 : shared_.layout.offsets[other + 1] - first_before;
    const auto rows = [&](R* to, Tokens<const C> from, const R* bias, std::array<int64_t, 2> shape, int64_t first,
                          R scale) {
      load_rows<R, C>(to, from.data + first * from.stride + head_ * shape[1], from.stride, shape,
                      bias + head_ * shape[1], scale);
    };
    rows(q_.data(), shared_.q, shared_.bias_q, {n_, G_ * d_}, first_, shared_.scale);
    const auto keys = [&](std::vector<R>& to, Tokens<const C> from, const R* bias) {
      if (before_ > 0) rows(to.data(), from, bias, {before_, d_}, first_before, R(1));
      rows(to.data() + before_ * d_, from, bias, {n_, d_}, first_, R(1));
    };
    keys(k_, shared_.k, shared_.bias_k);
    keys(v_, shared_.v, shared_.bias_v);
  }
  void store(Tokens<C> to, const std::vector<R>& from, int64_t width, R scale) const {
    store_rows<R, C>(to.data + first_ * to.stride + head_ * width, to.stride, from.data(), {n_, width}, scale);
  }

  void backward_block(const Block& b) {
    R* dropped = shared_.mask.active() ? dropped_.data() : scores_.data();
    const R factor = static_cast<R>(shared_.mask.scale()), *grad_out = &o_[b.begin * G_ * d_];
    multiply<R>(scores_.data(), b.keys, {b.rows, b.keys, d_}, {query(b), d_}, {key(b), d_, true}, 0);
    multiply<R>(grad_scores_.data(), b.keys, {b.rows, b.keys, d_}, {grad_out, d_}, {&v_[b.first_key * d_], d_, true},
                0);
    for (int64_t r = 0; r < b.rows; ++r) {
      const Visible keys = visible(b, r);
      R *p = &scores_[r * b.keys], *g = &grad_scores_[r * b.keys];
      probability_row(p, lse(b, r), keys);
      if (shared_.mask.active()) {
        drop_row(g, g, mask(b, r), factor, keys, b.first_key);
        drop_row(dropped + r * b.keys, p, mask(b, r), factor, keys, b.first_key);
        clear_hidden(dropped + r * b.keys, keys);
      }
      softmax_gradient_row(g, p, keys);
    }
    multiply<R>(&grad_v_[b.first_key * d_], d_, {b.keys, d_, b.rows}, {dropped, b.keys, true}, {grad_out, d_}, 1);
    multiply<R>(&grad_k_[b.first_key * d_], d_, {b.keys, d_, b.rows}, {grad_scores_.data(), b.keys, true},
                {query(b), d_}, 1);
    multiply<R>(&grad_q_[b.begin * G_ * d_], d_, {b.rows, d_, b.keys}, {grad_scores_.data(), b.keys}, {key(b), d_}, 0);
  }

  const Shared<R, C>& shared_;
  int64_t d_, G_, head_ = 0, first_ = 0, n_ = 0, before_ = 0, block_ = 1;
  std::vector<R> q_, k_, v_, o_, scores_, grad_q_, grad_k_, grad_v_, grad_scores_, dropped_;
};

template <class C>
Tokens<const C> rows_of(const at::Tensor& x) {
  return {x.const_data_ptr<C>(), x.stride(0)};
}

template <class C>
Tokens<C> writable_rows_of(const at::Tensor& x) {
  return {x.mutable_data_ptr<C>(), x.stride(0)};
}

/// f(head, sequence index, key head) for all key heads of all sequences. Heads vary slowest: every thread meets every
/// length.
template <class R, class C, class Function>
void for_each_head(const PackedHeads& of, Function f) {
  const int64_t d = of.q.size(1) / of.num_heads;
  const std::vector<R> zeros(static_cast<size_t>(of.q.size(1)));
  const auto bias = [&](const at::Tensor& given) { return given.defined() ? given.const_data_ptr<R>() : zeros.data(); };
  const Shared<R, C> shared{rows_of<C>(of.q),
                            rows_of<C>(of.k),
                            rows_of<C>(of.v),
                            bias(of.bias_q),
                            bias(of.bias_k),
                            bias(of.bias_v),
                            of.lse.mutable_data_ptr<R>(),
                            of.layout,
                            of.num_kv_heads,
                            of.num_heads / of.num_kv_heads,
                            d,
                            static_cast<R>(of.scale),
                            of.window,
                            DropoutMask(of.site),
                            StandBehind::now()};
  const int64_t sequences = of.layout.num_sequences();
  at::parallel_for(0, of.num_kv_heads * sequences, 1, [&](int64_t begin, int64_t end) {
    Head<R, C> head(shared);
    for (int64_t n = begin; n < end; ++n) f(head, n % sequences, n / sequences);
  });
}

}  // namespace

void forward(const PackedHeads& of, const at::Tensor& out) {
  dispatch_compute(of.q.scalar_type(), [&]<class R, class C>(R, C) {
    const Tokens<C> to = writable_rows_of<C>(out);
    for_each_head<R, C>(of, [&](Head<R, C>& head, int64_t b, int64_t k) { head.forward(b, k, to); });
  });
}

void backward(const PackedHeads& of, const at::Tensor& grad_out, const at::Tensor& grad_q, const at::Tensor& grad_k,
              const at::Tensor& grad_v) {
  dispatch_compute(of.q.scalar_type(), [&]<class R, class C>(R, C) {
    const HeadGradients<C> to{writable_rows_of<C>(grad_q), writable_rows_of<C>(grad_k), writable_rows_of<C>(grad_v)};
    for_each_head<R, C>(of,
                        [&](Head<R, C>& head, int64_t b, int64_t k) { head.backward(b, k, rows_of<C>(grad_out), to); });
  });
}

}  // namespace cllm::heads
