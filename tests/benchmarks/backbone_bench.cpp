// Times the frozen backbone on packed batches like those of reference/speed_baseline.py: tokens/s, the share of the
// matrix-product rate measured in the same run, and where the time goes.
//
//   backbone_bench [gpt2-small|gpt2-mini] [fp32|bf16] [dropout rate] [repeats]      (threads: OMP_NUM_THREADS)

#include <ATen/Parallel.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/mm.h>
#include <ATen/ops/randn.h>
#include <ATen/ops/sum.h>
#include <sys/resource.h>

#include <algorithm>
#include <cstdio>
#include <ctime>
#include <functional>
#include <random>

#include "data/random.h"
#include "model/backbones/gpt2/gpt2.h"
#include "model/nn/add_norm.h"
#include "model/nn/attention.h"
#include "model/nn/gelu.h"
#include "model/nn/packed_layout.h"

namespace cllm {
namespace {

struct Options {
  Gpt2Config config;
  at::ScalarType compute;
  double dropout;
  int repeats;
};

struct Times {
  double p10, p50, p90;
};

/// With one thread CPU time, which other programs on the machine disturb least; else wall time.
double now() {
  timespec time{};
  clock_gettime(at::get_num_threads() == 1 ? CLOCK_PROCESS_CPUTIME_ID : CLOCK_MONOTONIC, &time);
  return static_cast<double>(time.tv_sec) + 1e-9 * static_cast<double>(time.tv_nsec);
}

Times seconds(int repeats, const std::function<void()>& run) {
  run();
  std::vector<double> times;
  for (int n = 0; n < repeats; ++n) {
    const double start = now();
    run();
    times.push_back(now() - start);
  }
  std::sort(times.begin(), times.end());
  const auto at = [&](double share) {
    return times[static_cast<size_t>(share * static_cast<double>(times.size() - 1) + 0.5)];
  };
  return {at(0.1), at(0.5), at(0.9)};
}

double peak_rss_mib() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return static_cast<double>(usage.ru_maxrss) / 1024;
}

/// 20 sequences as the baseline draws them: L prompt 4 + history up to 128, C prompt 8 + text of about 60, F prompt
/// with a visible history.
std::vector<int64_t> lengths_of(char kind) {
  std::mt19937_64 random(7);
  std::exponential_distribution<double> history(1.0 / 42);
  std::poisson_distribution<int> text(60);
  std::vector<int64_t> lengths;
  for (int b = 0; b < 20; ++b) {
    const int64_t items = std::min<int64_t>(128, 6 + static_cast<int64_t>(history(random)));
    lengths.push_back(kind == 'C' ? 8 + text(random) : kind == 'L' ? 4 + items : 9 + items * 4 / 5);
  }
  return lengths;
}

PackedLayout layout_of(char kind, double dropout) {
  PackedLayout layout = make_layout(lengths_of(kind), at::kCPU);
  if (dropout == 0) return layout;
  at::Tensor keys = at::empty_like(layout.positions_T);
  for (int64_t t = 0; t < layout.num_tokens(); ++t)
    keys.mutable_data_ptr<int64_t>()[t] = static_cast<int64_t>(mix64(t));
  layout.dropout_keys_T = keys;
  return layout;
}

/// Products with the weights: 2 flops per weight and token, forward; the same again for the gradient of the input.
double linear_flops(const Gpt2Config& c) {
  return 2.0 * static_cast<double>(c.num_layers * c.width * (4 * c.width + 2 * c.mlp_width()));
}

double gemm_rate(const Options& o, int64_t tokens) {
  const at::TensorOptions type = at::TensorOptions().dtype(o.compute);
  const at::Tensor a = at::randn({tokens, o.config.width}, type),
                   b = at::randn({o.config.width, o.config.mlp_width()}, type);
  const Times t = seconds(3 * o.repeats, [&] { at::mm(a, b); });
  return 2.0 * static_cast<double>(a.numel() * b.size(1)) / t.p50;
}

/// Forward and backward of one operation, times its number in a step.
void phase(const char* name, int64_t count, const Options& o, double step, const at::Tensor& x,
           const std::function<at::Tensor(at::Tensor)>& f) {
  const Times forward = seconds(o.repeats, [&] {
    const at::NoGradGuard no_grad;
    f(x);
  });
  at::Tensor leaf = x.detach().clone().set_requires_grad(true), direction;
  const Times both = seconds(o.repeats, [&] {
    const at::Tensor out = f(leaf);
    if (!direction.defined()) direction = at::randn(out.sizes(), out.options());
    out.backward(direction);
    leaf.mutable_grad() = at::Tensor();
  });
  const double n = static_cast<double>(count);
  std::printf("    %-22s forward %7.2f ms   backward %7.2f ms   %5.1f %% of the step\n", name, n * forward.p50 * 1e3,
              n * (both.p50 - forward.p50) * 1e3, 100 * n * both.p50 / step);
}

void phases(const Options& o, const PackedLayout& layout, double step) {
  const Gpt2Config& c = o.config;
  const int64_t T = layout.num_tokens(), D = c.width, F = c.mlp_width(), L = c.num_layers;
  const at::TensorOptions type = at::TensorOptions().dtype(o.compute);
  const DropoutSite site{layout.dropout_keys_T, o.dropout, 1};
  const auto product = [&](const char* name, int64_t in, int64_t out) {
    const at::Tensor weight = at::randn({in, out}, type);
    phase(name, L, o, step, at::randn({T, in}, type), [&](const at::Tensor& x) { return at::mm(x, weight); });
  };
  product("linear D -> 3D", D, 3 * D);
  product("linear D -> D", D, D);
  product("linear D -> F", D, F);
  product("linear F -> D", F, D);
  const at::Tensor bias3 = at::randn({3 * D}), bias = at::randn({D}), bias_inner = at::randn({F});
  phase("attention", L, o, step, at::randn({T, 3 * D}, type),
        [&](const at::Tensor& x) { return causal_attention(x, bias3, layout, c.num_heads, site); });
  phase("bias + gelu", L, o, step, at::randn({T, F}, type),
        [&](const at::Tensor& x) { return bias_gelu(x, bias_inner, c.activation); });
  const at::Tensor residual = at::randn({T, D});
  phase("residual + layer norm", 2 * L, o, step, at::randn({T, D}, type), [&](const at::Tensor& x) {
    return add_and_norm(residual, x, bias, {bias, bias, 1e-5}, site).second;
  });
}

void bench(const Options& o) {
  const auto model = make_gpt2(o.config, 1, {at::kFloat, o.compute});
  std::printf("weights %.0f MiB resident\n", peak_rss_mib());
  for (const char kind : {'L', 'C', 'F'}) {
    const PackedLayout layout = layout_of(kind, o.dropout);
    const int64_t T = layout.num_tokens();
    const at::Tensor input = at::randn({T, o.config.width});
    const at::Tensor direction = at::randn({T, o.config.width}, at::TensorOptions().dtype(o.compute));
    const Dropout dropout{o.dropout, o.dropout, o.dropout};
    const Times forward = seconds(o.repeats, [&] {
      const at::NoGradGuard no_grad;
      model->forward(input, layout, dropout);
    });
    at::Tensor leaf = input.clone().set_requires_grad(true);
    const Times both = seconds(o.repeats, [&] {
      model->forward(leaf, layout, dropout).backward(direction);
      leaf.mutable_grad() = at::Tensor();
    });
    const double rate = gemm_rate(o, T), work = linear_flops(o.config) * static_cast<double>(T);
    std::printf("%c: 20 sequences, %ld tokens, longest %ld; matrix products run at %.0f GFLOP/s\n", kind, T,
                layout.longest, rate / 1e9);
    std::printf(
        "  forward       p10 %.1f p50 %.1f p90 %.1f ms, %.0f tokens/s, %.0f GFLOP/s = %.3f of the product rate\n",
        forward.p10 * 1e3, forward.p50 * 1e3, forward.p90 * 1e3, static_cast<double>(T) / forward.p50,
        work / forward.p50 / 1e9, work / forward.p50 / rate);
    std::printf(
        "  forward + dX  p10 %.1f p50 %.1f p90 %.1f ms, %.0f tokens/s, %.0f GFLOP/s = %.3f of the product rate\n",
        both.p10 * 1e3, both.p50 * 1e3, both.p90 * 1e3, static_cast<double>(T) / both.p50, 2 * work / both.p50 / 1e9,
        2 * work / both.p50 / rate);
    if (kind != 'F') phases(o, layout, both.p50);
  }
  std::printf("peak resident %.0f MiB\n", peak_rss_mib());
}

}  // namespace
}  // namespace cllm

int main(int argc, char** argv) {
  const std::vector<std::string> arguments(argv + 1, argv + argc);
  const auto argument = [&](size_t n, const char* otherwise) {
    return n < arguments.size() ? arguments[n] : std::string(otherwise);
  };
  cllm::Options options{{},
                        argument(1, "fp32") == "bf16" ? at::kBFloat16 : at::kFloat,
                        std::stod(argument(2, "0.1")),
                        std::stoi(argument(3, "5"))};
  if (argument(0, "gpt2-small") == "gpt2-mini") {
    options.config.num_layers = 4;
    options.config.num_heads = 4;
    options.config.width = 256;
  }
  std::printf("%s %s, dropout %.2f, %d threads\n", argument(0, "gpt2-small").c_str(), argument(1, "fp32").c_str(),
              options.dropout, at::get_num_threads());
  cllm::bench(options);
}
