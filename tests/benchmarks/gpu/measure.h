#pragma once

#include <ATen/Context.h>
#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>

#include <functional>
#include <string>
#include <utility>
#include <vector>

namespace cllm::bench {

/// Times of one piece of device work, between events on the current stream.
struct Times {
  std::vector<double> sorted_s;

  double percentile(double p) const {
    return sorted_s[static_cast<size_t>(p * static_cast<double>(sorted_s.size() - 1))];
  }
  double median() const { return percentile(0.5); }
};

/// Runs `work(n)` for n = 0 .. repeats-1 after three warm-ups; n lets it rotate among inputs, so that caches do not
/// help. `prepare(n)` runs before each, outside the measured time.
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

/// Prints every row, and writes the JSON file again with it: what ends the program early loses no row.
class Report {
 public:
  /// `json_path` may be empty: no file.
  Report(std::string json_path, std::string device) : json_path_(std::move(json_path)), device_(std::move(device)) {}

  void add(Row row);
  /// Runs `measure`; if it throws, says so in a row of its own, and what follows goes on.
  void attempt(const std::string& name, const std::function<void()>& measure);
  int num_failed() const { return static_cast<int>(failed_.size()); }

 private:
  void write_json() const;

  std::string json_path_, device_;
  std::vector<Row> rows_;
  std::vector<std::pair<std::string, std::string>> failed_;  // name, error
};

/// What everything is compared with, measured on random data.
struct Limits {
  double copy_gb_s;          // device to device, bytes read plus bytes written
  double gemm_tflop_s;       // bf16, 8192^3
  double fp32_gemm_tflop_s;  // fp32, 8192^3, without TF32
};
Limits measure_limits(Report& report);

void measure_rows(const Limits& limits, Report& report);
void measure_softmax(const Limits& limits, Report& report);
void measure_ranking(const Limits& limits, Report& report);
void measure_steps(const Limits& limits, Report& report);

}  // namespace cllm::bench
