#include <ATen/Parallel.h>
#include <c10/util/BFloat16.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>
#include <vector>

#include "data/random.h"
#include "model/kernels/compute_dtype.h"
#include "model/kernels/cpu_math.h"
#include "model/kernels/cuda.h"
#include "model/kernels/row_update.h"
#include "model/kernels/vector_clones.h"

namespace cllm::kernels {
namespace {

// Loops over a row are CLLM_SIMD: otherwise the compiler may choose between two loops by where the memory lies, with
// products and sums fused differently, and the same run would not give the same bits.

/// What the loops need. W: type of the weights, T: of all the rest.
template <typename W, typename T>
struct RowLoop {
  W* weight;
  T *m, *v;
  int32_t* row_step;    // null: rows miss nothing
  const int64_t* rows;  // null: row n is row n
  const T* parts;
  const int64_t *order, *offsets;  // null: part n is row n's
  const T* head;
  int64_t first_of_head;  // row n
  const W* fixed;
  const T* pull;  // null: none
  T* sum;
  int64_t D;
  AdamCall call;
  int64_t visible_updates;  // see below
  Rounding rounding;
};

/// fp32 -> bf16, up with the probability of the dropped part: 16 random bits are added below the kept ones. NaN and Inf
/// pass.
CLLM_INLINE at::BFloat16 round_stochastically(float value, uint64_t random16) {
  const auto bits = std::bit_cast<uint32_t>(value);
  if ((bits & 0x7F800000U) == 0x7F800000U) return at::BFloat16(value);
  return {static_cast<unsigned short>((bits + static_cast<uint32_t>(random16)) >> 16), at::BFloat16::from_bits()};
}

/// Writes a row of D weights as `rounding` says; `row` is local.
CLLM_INLINE void round_row(const float* from, at::BFloat16* to, int64_t D, const Rounding& rounding, int64_t row) {
  if (rounding.key == 0) {
    std::copy(from, from + D, to);
    return;
  }
  const int64_t global = row + (row < rounding.num_users ? rounding.user_shift : rounding.item_shift);
  const uint64_t key = rounding.key + static_cast<uint64_t>(global * D);
  for (int64_t first = 0; first < D; first += 4) {
    const uint64_t random = mix64(key + static_cast<uint64_t>(first));
    for (int64_t d = first; d < std::min(first + 4, D); ++d) {
      to[d] = round_stochastically(from[d], (random >> (16 * (d - first))) & 0xFFFF);
    }
  }
}

/// The weights of one row after the other, to read and write in T between open() and close(): the table's own memory.
template <typename W, typename T>
class RowWeights {
 public:
  explicit RowWeights(const RowLoop<W, T>& loop) : loop_(loop) {}
  T* open(int64_t row) { return loop_.weight + row * loop_.D; }
  void close(int64_t) {}

 private:
  const RowLoop<W, T>& loop_;
};

/// Of a bf16 table: a copy in fp32, which close() rounds.
template <>
class RowWeights<at::BFloat16, float> {
 public:
  explicit RowWeights(const RowLoop<at::BFloat16, float>& loop) : loop_(loop), copy_(static_cast<size_t>(loop.D)) {}
  float* open(int64_t row) {
    std::copy_n(loop_.weight + row * loop_.D, loop_.D, copy_.data());
    return copy_.data();
  }
  void close(int64_t row) { round_row(copy_.data(), loop_.weight + row * loop_.D, loop_.D, loop_.rounding, row); }

 private:
  const RowLoop<at::BFloat16, float>& loop_;
  std::vector<float> copy_;
};

/// The gradients of one row after the other.
template <typename W, typename T>
class RowSums {
 public:
  explicit RowSums(const RowLoop<W, T>& loop) : loop_(loop), sum_(static_cast<size_t>(loop.D)) {}

  /// Of row n of the call, which is `row` of the table and has the weights w now.
  CLLM_INLINE const T* of(int64_t n, int64_t row, const T* w) {
    const T* const g = add_up(n, row, w);
    if (loop_.sum != nullptr) loop_.sum[n] = total(g);
    return g;
  }

 private:
  CLLM_INLINE const T* add_up(int64_t n, int64_t row, const T* w) {
    const int64_t begin = loop_.offsets != nullptr ? loop_.offsets[n] : n,
                  end = loop_.offsets != nullptr ? loop_.offsets[n + 1] : n + 1;
    const auto part = [this](int64_t p) {
      return loop_.parts + (loop_.order != nullptr ? loop_.order[p] : p) * loop_.D;
    };
    const T* const head = n >= loop_.first_of_head ? loop_.head + (n - loop_.first_of_head) * loop_.D : nullptr;
    const T pull = loop_.pull != nullptr ? loop_.pull[n] : T(0);
    if (pull == 0 && head == nullptr && end - begin == 1) return part(begin);
    if (pull == 0 && head != nullptr && end == begin) return head;
    std::fill(sum_.begin(), sum_.end(), T(0));
    for (int64_t p = begin; p < end; ++p) add(part(p));
    if (head != nullptr) add(head);
    if (pull != 0) add_pull(pull, w, loop_.fixed + row * loop_.D);
    return sum_.data();
  }

  CLLM_INLINE void add(const T* __restrict part) {
    T* __restrict sum = sum_.data();
    CLLM_SIMD
    for (int64_t d = 0; d < loop_.D; ++d) sum[d] += part[d];
  }

  CLLM_INLINE void add_pull(T pull, const T* __restrict w, const W* __restrict fixed) {
    T* __restrict sum = sum_.data();
    CLLM_SIMD
    for (int64_t d = 0; d < loop_.D; ++d) sum[d] += pull * (w[d] - static_cast<T>(fixed[d]));
  }

  CLLM_INLINE T total(const T* __restrict g) const {
    T sum = 0;
    CLLM_SIMD_SUM(sum)
    for (int64_t d = 0; d < loop_.D; ++d) sum += g[d];
    return sum;
  }

  const RowLoop<W, T>& loop_;
  std::vector<T> sum_;
};

/// After how many updates without gradient a row has stopped to move. With rho = b1 / sqrt(b2), update n of them moves
/// a coordinate by at most c lr rho^n, c = (1 - b1) / sqrt((1 - b2)(1 - b1^2 / b2)) (Cauchy-Schwarz on |m| / sqrt(v)),
/// and all from n on by at most c lr rho^n / (1 - rho). n is where this falls below lr 2^-30 in fp32 (240 for the usual
/// constants) and lr 2^-60 in fp64 (438): less than half a unit in the last place of every weight above lr / 50. Later
/// updates only shrink m and v, in closed form.
int64_t count_visible_updates(const AdamCall& call, int digits) {
  const double rho = call.beta1 / std::sqrt(call.beta2);
  if (rho >= 1) return std::numeric_limits<int64_t>::max();
  const double c = (1 - call.beta1) / std::sqrt((1 - call.beta2) * (1 - rho * rho));
  return static_cast<int64_t>(std::ceil(std::log(std::ldexp((1 - rho) / c, -digits)) / std::log(rho)));
}

template <typename T>
CLLM_INLINE bool is_zero(const T* x, int64_t D) {
  bool zero = true;
  for (int64_t d = 0; d < D; ++d) zero &= x[d] == 0;
  return zero;
}

/// False for a row that never had a gradient: missed updates leave it where it is, and its pages of zeros stay
/// untouched.
template <typename Loop>
CLLM_INLINE bool has_moments(const Loop& loop, int64_t row) {
  return !is_zero(loop.m + row * loop.D, loop.D) || !is_zero(loop.v + row * loop.D, loop.D);
}

template <typename W, typename T>
CLLM_INLINE void missed_updates(const RowLoop<W, T>& loop, int64_t row, T* __restrict w, int64_t last_step) {
  T* __restrict m = loop.m + row * loop.D;
  T* __restrict v = loop.v + row * loop.D;
  const int64_t first_step = loop.row_step[row];
  const auto& call = loop.call;
  const T one_minus_beta1 = static_cast<T>(1 - call.beta1), beta2 = static_cast<T>(call.beta2),
          epsilon = static_cast<T>(call.epsilon);
  const int64_t moving = std::min(last_step - first_step, loop.visible_updates), rest = last_step - first_step - moving;
  double power1 = std::pow(call.beta1, static_cast<double>(first_step)),
         power2 = std::pow(call.beta2, static_cast<double>(first_step));
  for (int64_t n = 0; n < moving; ++n) {
    power1 *= call.beta1;
    power2 *= call.beta2;
    const T rate = static_cast<T>(call.learning_rate / (1 - power1)),
            correction = static_cast<T>(1 / std::sqrt(1 - power2));
    CLLM_SIMD
    for (int64_t d = 0; d < loop.D; ++d) {
      m[d] -= one_minus_beta1 * m[d];
      v[d] *= beta2;
      w[d] -= rate * m[d] / (std::sqrt(v[d]) * correction + epsilon);
    }
  }
  if (rest == 0) return;
  const T shrink_m = static_cast<T>(std::pow(call.beta1, static_cast<double>(rest)));
  const T shrink_v = static_cast<T>(std::pow(call.beta2, static_cast<double>(rest)));
  CLLM_SIMD
  for (int64_t d = 0; d < loop.D; ++d) {
    m[d] *= shrink_m;
    v[d] *= shrink_v;
  }
}

template <typename W, typename T>
CLLM_INLINE void catch_up_range(const RowLoop<W, T>& loop, int64_t begin, int64_t end) {
  RowWeights<W, T> weights(loop);
  for (int64_t n = begin; n < end; ++n) {
    const int64_t row = loop.rows != nullptr ? loop.rows[n] : n;
    if (loop.row_step[row] >= loop.call.step) continue;
    if (has_moments(loop, row)) {
      missed_updates(loop, row, weights.open(row), loop.call.step);
      weights.close(row);
    }
    loop.row_step[row] = static_cast<int32_t>(loop.call.step);
  }
}

template <typename W, typename T>
CLLM_INLINE void update_range(const RowLoop<W, T>& loop, int64_t begin, int64_t end) {
  RowWeights<W, T> weights(loop);
  RowSums<W, T> gradients(loop);
  const auto& call = loop.call;
  const double step = static_cast<double>(call.step);
  const T one_minus_beta1 = static_cast<T>(1 - call.beta1), beta2 = static_cast<T>(call.beta2),
          one_minus_beta2 = static_cast<T>(1 - call.beta2);
  const T rate = static_cast<T>(call.learning_rate / (1 - std::pow(call.beta1, step))),
          epsilon = static_cast<T>(call.epsilon);
  const T correction = static_cast<T>(1 / std::sqrt(1 - std::pow(call.beta2, step)));
  for (int64_t n = begin; n < end; ++n) {
    const int64_t row = loop.rows[n];
    T* __restrict w = weights.open(row);
    if (loop.row_step != nullptr) {
      if (loop.row_step[row] < call.step - 1 && has_moments(loop, row)) missed_updates(loop, row, w, call.step - 1);
      loop.row_step[row] = static_cast<int32_t>(call.step);
    }
    T* __restrict m = loop.m + row * loop.D;
    T* __restrict v = loop.v + row * loop.D;
    const T* __restrict g = gradients.of(n, row, w);
    CLLM_SIMD
    for (int64_t d = 0; d < loop.D; ++d) {
      m[d] += one_minus_beta1 * (g[d] - m[d]);
      v[d] = beta2 * v[d] + one_minus_beta2 * g[d] * g[d];
      w[d] -= rate * m[d] / (std::sqrt(v[d]) * correction + epsilon);
    }
    weights.close(row);
  }
}

template <typename W, typename T>
CLLM_INLINE void adagrad_range(const RowLoop<W, T>& loop, int64_t begin, int64_t end) {
  RowWeights<W, T> weights(loop);
  RowSums<W, T> gradients(loop);
  const T rate = static_cast<T>(loop.call.learning_rate), epsilon = static_cast<T>(loop.call.epsilon);
  for (int64_t n = begin; n < end; ++n) {
    T* __restrict w = weights.open(loop.rows[n]);
    const T* __restrict g = gradients.of(n, loop.rows[n], w);
    double square = 0;
    for (int64_t d = 0; d < loop.D; ++d) square += static_cast<double>(g[d]) * static_cast<double>(g[d]);
    T& accumulator = loop.v[loop.rows[n]];
    accumulator += static_cast<T>(square / static_cast<double>(loop.D));
    const T scale = rate / (std::sqrt(accumulator) + epsilon);
    CLLM_SIMD
    for (int64_t d = 0; d < loop.D; ++d) w[d] -= scale * g[d];
    weights.close(loop.rows[n]);
  }
}

template <typename W, typename T>
CLLM_INLINE void sgd_range(const RowLoop<W, T>& loop, int64_t begin, int64_t end) {
  RowWeights<W, T> weights(loop);
  RowSums<W, T> gradients(loop);
  const T rate = static_cast<T>(loop.call.learning_rate);
  for (int64_t n = begin; n < end; ++n) {
    T* __restrict w = weights.open(loop.rows[n]);
    const T* __restrict g = gradients.of(n, loop.rows[n], w);
    CLLM_SIMD
    for (int64_t d = 0; d < loop.D; ++d) w[d] -= rate * g[d];
    weights.close(loop.rows[n]);
  }
}

enum class Algorithm { kCatchUp, kAdam, kAdagrad, kSgd };

template <typename Loop>
CLLM_INLINE void run_algorithm(Algorithm algorithm, const Loop& loop, int64_t begin, int64_t end) {
  if (algorithm == Algorithm::kCatchUp) catch_up_range(loop, begin, end);
  if (algorithm == Algorithm::kAdam) update_range(loop, begin, end);
  if (algorithm == Algorithm::kAdagrad) adagrad_range(loop, begin, end);
  if (algorithm == Algorithm::kSgd) sgd_range(loop, begin, end);
}

// target_clones wants plain functions: one per precision.
using FloatLoop = RowLoop<float, float>;
using DoubleLoop = RowLoop<double, double>;
using Bf16Loop = RowLoop<at::BFloat16, float>;
CLLM_VECTOR_CLONES void run_range(Algorithm algorithm, const FloatLoop& loop, int64_t begin, int64_t end) {
  run_algorithm(algorithm, loop, begin, end);
}
CLLM_VECTOR_CLONES void run_range(Algorithm algorithm, const DoubleLoop& loop, int64_t begin, int64_t end) {
  run_algorithm(algorithm, loop, begin, end);
}
CLLM_VECTOR_CLONES void run_range(Algorithm algorithm, const Bf16Loop& loop, int64_t begin, int64_t end) {
  run_algorithm(algorithm, loop, begin, end);
}

struct Arguments {
  at::Tensor weight, m, v, row_step;
  RowGradient gradient;  // of a catch-up the rows alone
};

void check(const Arguments& a, bool wants_gradients) {
  TORCH_CHECK(a.weight.is_cpu() && a.weight.is_contiguous(), "the row optimisers need a contiguous CPU table");
  const at::Tensor& rows_M = a.gradient.rows_M;
  if (rows_M.defined()) TORCH_CHECK(rows_M.is_contiguous() && rows_M.scalar_type() == at::kLong, "rows must be int64");
  if (wants_gradients) check_parts(a.gradient, a.weight);
}

template <typename T>
T* pointer(const at::Tensor& tensor) {
  return tensor.defined() ? tensor.mutable_data_ptr<T>() : nullptr;
}

template <typename W, typename T>
void run(Algorithm algorithm, const Arguments& a, const AdamCall& call, const Rounding& rounding) {
  const auto& [rows_M, parts_PD, segments, head_ID, fixed_ND, pull_M, sum_M] = a.gradient;
  const int64_t count = rows_M.defined() ? rows_M.size(0) : a.weight.size(0);
  const RowLoop<W, T> loop{.weight = pointer<W>(a.weight),
                           .m = pointer<T>(a.m),
                           .v = pointer<T>(a.v),
                           .row_step = pointer<int32_t>(a.row_step),
                           .rows = pointer<int64_t>(rows_M),
                           .parts = pointer<T>(parts_PD),
                           .order = segments ? pointer<int64_t>(segments->order_T) : nullptr,
                           .offsets = segments ? pointer<int64_t>(segments->offsets_M1) : nullptr,
                           .head = pointer<T>(head_ID),
                           .first_of_head = head_ID.defined() ? count - head_ID.size(0) : count,
                           .fixed = pointer<W>(fixed_ND),
                           .pull = pointer<T>(pull_M),
                           .sum = pointer<T>(sum_M),
                           .D = a.weight.size(1),
                           .call = call,
                           .visible_updates = count_visible_updates(call, sizeof(T) == 4 ? 30 : 60),
                           .rounding = rounding};
  const int64_t grain =
      std::max<int64_t>(1, 16384 / std::max<int64_t>(1, loop.D));  // rows: 64 KB of fp32 weights per piece
  at::parallel_for(0, count, grain, [&](int64_t begin, int64_t end) { run_range(algorithm, loop, begin, end); });
}

void dispatch(Algorithm algorithm, const Arguments& arguments, const AdamCall& call, const Rounding& rounding) {
  check(arguments, algorithm != Algorithm::kCatchUp);
  switch (arguments.weight.scalar_type()) {
    case at::kFloat: return run<float, float>(algorithm, arguments, call, rounding);
    case at::kDouble: return run<double, double>(algorithm, arguments, call, rounding);
    case at::kBFloat16: return run<at::BFloat16, float>(algorithm, arguments, call, rounding);
    default: TORCH_CHECK(false, "tables are fp32, fp64 or bf16, found ", arguments.weight.scalar_type());
  }
}

}  // namespace

void adam_catch_up(const at::Tensor& weight, const at::Tensor& m, const at::Tensor& v, const at::Tensor& row_step,
                   const at::Tensor& rows_M, const AdamCall& call, const Rounding& rounding) {
  if (!weight.is_cpu()) return cuda::adam_catch_up(weight, m, v, row_step, rows_M, call, rounding);
  dispatch(Algorithm::kCatchUp, {weight, m, v, row_step, {.rows_M = rows_M}}, call, rounding);
}

void adam_update(const at::Tensor& weight, const at::Tensor& m, const at::Tensor& v, const at::Tensor& row_step,
                 const RowGradient& gradient, const AdamCall& call, const Rounding& rounding) {
  if (!weight.is_cpu()) return cuda::adam_update(weight, m, v, row_step, gradient, call, rounding);
  dispatch(Algorithm::kAdam, {weight, m, v, row_step, gradient}, call, rounding);
}

void rowwise_adagrad_update(const at::Tensor& weight, const at::Tensor& accumulator, const RowGradient& gradient,
                            double learning_rate, double epsilon, const Rounding& rounding) {
  if (!weight.is_cpu()) {
    return cuda::rowwise_adagrad_update(weight, accumulator, gradient, learning_rate, epsilon, rounding);
  }
  dispatch(Algorithm::kAdagrad, {weight, {}, accumulator, {}, gradient}, {learning_rate, 0, 0, epsilon, 0}, rounding);
}

void sgd_update(const at::Tensor& weight, const RowGradient& gradient, double learning_rate, const Rounding& rounding) {
  if (!weight.is_cpu()) return cuda::sgd_update(weight, gradient, learning_rate, rounding);
  dispatch(Algorithm::kSgd, {weight, {}, {}, {}, gradient}, {learning_rate, 0, 0, 0, 0}, rounding);
}

}  // namespace cllm::kernels
