#include <ATen/ops/randn.h>

#include "model/evaluation/scoring.h"
#include "tests/benchmarks/gpu/measure.h"
#include "tests/support/thread_world.h"

// Exact top 100 of all items, as evaluation ranks them: products with the fp32 table, candidates scored again in fp64.

namespace cllm::bench {
namespace {

constexpr int64_t kUsers = 1024, kWidth = 768, kBest = 100;

void measure(const Limits& limits, Report& report, int64_t J) {
  const auto options = at::TensorOptions().device(at::kCUDA);
  const at::Tensor items_JD = at::randn({J, kWidth}, options), hidden_bD = at::randn({kUsers, kWidth}, options);
  const std::vector<std::vector<int32_t>> masked(kUsers, {1, 5, 9});
  testing::run_ranks(1, [&](Communicator& comm) {
    const ItemScorer scorer(comm, RowPartition(J, 1), items_JD);
    const Times times = time_on_device(8, [&](int) { scorer.top_items(hidden_bD, masked, kBest); });
    report.add({"top 100 of " + std::to_string(J) + " items, " + std::to_string(kUsers) + " users", times,
                2.0 * static_cast<double>(kUsers * J * kWidth), "TFLOP/s", limits.fp32_gemm_tflop_s,
                "fp32 product 8192^3", 0.70, "lists on the host"});
  });
}

}  // namespace

void measure_ranking(const Limits& limits, Report& report) {
  for (const int64_t J : {12101, 1 << 20}) report.attempt("ranking", [&] { measure(limits, report, J); });
}

}  // namespace cllm::bench
