#include "tests/benchmarks/gpu/measure.h"

#include <ATen/cuda/CUDAEvent.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/mm.h>
#include <ATen/ops/randn.h>
#include <c10/cuda/CUDAFunctions.h>

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

namespace cllm::bench {

Times time_on_device(int repeats, const std::function<void(int)>& work, const std::function<void(int)>& prepare) {
  Times times;
  for (int n = -3; n < repeats; ++n) {
    const int input = n < 0 ? n + 3 : n;
    if (prepare) prepare(input);
    at::cuda::CUDAEvent begin(cudaEventDefault), end(cudaEventDefault);
    begin.record();
    work(input);
    end.record();
    end.synchronize();
    if (n >= 0) times.sorted_s.push_back(static_cast<double>(begin.elapsed_time(end)) / 1e3);
  }
  std::sort(times.sorted_s.begin(), times.sorted_s.end());
  return times;
}

void Report::add(Row row) {
  const double ratio = row.limit > 0 ? row.rate() / row.limit : 1;
  std::printf("%-44s P10 %9.3f  P50 %9.3f  P90 %9.3f ms  %9.1f %-8s %5.3f of %s%s%s\n", row.name.c_str(),
              row.times.percentile(0.1) * 1e3, row.times.median() * 1e3, row.times.percentile(0.9) * 1e3, row.rate(),
              row.unit.c_str(), ratio, row.limit_name.c_str(),
              row.bar > 0 ? (ratio >= row.bar ? "  meets " : "  BELOW ") : "",
              row.bar > 0 ? std::to_string(row.bar).substr(0, 4).c_str() : "");
  if (!row.note.empty()) std::printf("    %s\n", row.note.c_str());
  std::fflush(stdout);
  rows_.push_back(std::move(row));
  write_json();
}

void Report::attempt(const std::string& name, const std::function<void()>& measure) {
  try {
    measure();
  } catch (const std::exception& error) {
    std::string what = error.what();
    what = what.substr(0, what.find('\n'));  // the rest is libtorch's backtrace
    std::printf("%-44s FAILED: %s\n", name.c_str(), what.c_str());
    std::fflush(stdout);
    failed_.emplace_back(name, std::move(what));
    write_json();
  }
}

void Report::write_json() const {
  if (json_path_.empty()) return;
  nlohmann::json rows = nlohmann::json::array();
  for (const Row& row : rows_) {
    rows.push_back({{"name", row.name},
                    {"p10_s", row.times.percentile(0.1)},
                    {"p50_s", row.times.median()},
                    {"p90_s", row.times.percentile(0.9)},
                    {"rate", row.rate()},
                    {"unit", row.unit},
                    {"limit", row.limit},
                    {"limit_name", row.limit_name},
                    {"ratio", row.limit > 0 ? row.rate() / row.limit : 1},
                    {"bar", row.bar},
                    {"note", row.note}});
  }
  for (const auto& [name, error] : failed_) rows.push_back({{"name", name}, {"error", error}});
  const std::string fresh = json_path_ + ".new";
  std::ofstream(fresh) << nlohmann::json{{"device", device_}, {"rows", rows}}.dump(2) << "\n";
  std::filesystem::rename(fresh, json_path_);
}

Limits measure_limits(Report& report) {
  const auto options = at::TensorOptions().device(at::kCUDA);
  Limits limits{};
  {
    const at::Tensor from = at::randn({int64_t{1} << 30}, options);
    at::Tensor to = at::empty_like(from);
    const Times times = time_on_device(20, [&](int) { to.copy_(from); });
    limits.copy_gb_s = 2.0 * static_cast<double>(from.nbytes()) / times.median() / 1e9;
    report.add(
        {"copy of 4.3 GB", times, 2.0 * static_cast<double>(from.nbytes()), "GB/s", limits.copy_gb_s, "itself", 0, ""});
  }
  for (const auto& [dtype, name, limit] : {std::tuple(at::kBFloat16, "bf16 product 8192^3", &limits.gemm_tflop_s),
                                           {at::kFloat, "fp32 product 8192^3", &limits.fp32_gemm_tflop_s}}) {
    const int64_t n = 8192;
    const at::Tensor a = at::randn({n, n}, options.dtype(dtype)), b = at::randn({n, n}, options.dtype(dtype));
    at::Tensor c = at::empty_like(a);
    const Times times = time_on_device(20, [&](int) { at::mm_out(c, a, b); });
    const double flops = 2.0 * static_cast<double>(n * n * n);
    *limit = flops / times.median() / 1e12;
    report.add({name, times, flops, "TFLOP/s", *limit, "itself", 0, ""});
  }
  return limits;
}

}  // namespace cllm::bench
