#pragma once

#include <ATen/Context.h>
#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>

#include <functional>
#include <string>
#include <vector>

namespace cllm::bench {

/// Times of one piece of device work, between events on the current stream.
struct Times {
  std::vector<double> sorted_s;

  double percentile(double p) const { return sorted_s[static_cast<size_t>(p * static_cast<double>(sorted_s.size() - 1))]; }
  double median() const { return percentile(0.5); }
};

/// Runs `work(n)` for n = 0 .. repeats-1 after three warm-ups; n lets it rotate among inputs, so that caches do not help. `prepare(n)`
/// runs before each, outside the measured time.
Times time_on_device(int repeats, const std::function<void(int)>& work, const std::function<void(int)>& prepare = {});

/// One line of the table and one object of the JSON file.
struct Row {
  std::string name;
  Times times;
  double amount;     // bytes or floating-point operations of one run
  std::string unit;  // "GB/s" or "TFLOP/s"
  double limit;      // measured in this run, in the unit
  std::string limit_name;
  double bar;  // PERFORMANCE.md §1; 0: none
  std::string note;

  double rate() const { return amount / times.median() / (unit == "GB/s" ? 1e9 : 1e12); }
};

class Report {
 public:
  void add(Row row);
  void write_json(const std::string& path, const std::string& device) const;

 private:
  std::vector<Row> rows_;
};

/// What everything is compared with, measured on random data.
struct Limits {
  double copy_gb_s;     // device to device, bytes read plus bytes written
  double gemm_tflop_s;  // bf16, 8192^3
};
Limits measure_limits(Report& report);

void measure_rows(const Limits& limits, Report& report);
void measure_softmax(const Limits& limits, Report& report);
void measure_steps(const Limits& limits, Report& report);

}  // namespace cllm::bench
