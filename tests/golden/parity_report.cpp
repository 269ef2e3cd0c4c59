#include "tests/golden/parity_report.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/logical_and.h>
#include <ATen/ops/tensor.h>

#include <cmath>
#include <cstdio>
#include <limits>

namespace cllm::golden {
namespace {

constexpr double kSmallestScale = 1e-3, kCountedShare = 1e-3;
constexpr double kInfinity = std::numeric_limits<double>::infinity();

double scale_of(const at::Tensor& whole) {
  return whole.numel() == 0 ? kSmallestScale : std::max(kSmallestScale, whole.abs().max().item<double>());
}

at::Tensor difference(const at::Tensor& actual, const at::Tensor& expected) {
  return (actual.detach().cpu().to(at::kDouble) - expected.to(at::kDouble)).abs();
}

}  // namespace

void ParityReport::compare(const std::string& label, const at::Tensor& actual, const at::Tensor& expected,
                           const at::Tensor& whole, double tolerance) {
  compare_moved(label, actual, expected, whole, tolerance, 0);
}

void ParityReport::compare(const std::string& label, double actual, double expected, double tolerance) {
  const double gap = std::abs(actual - expected) / std::max(kSmallestScale, std::abs(expected));
  comparisons_.push_back({label, std::isnan(gap) ? kInfinity : gap, tolerance});
}

void ParityReport::compare_moved(const std::string& label, const at::Tensor& actual, const at::Tensor& expected,
                                 const at::Tensor& whole, double tolerance, double movement) {
  if (actual.sizes() != expected.sizes()) return comparisons_.push_back({label + ": shape", kInfinity, tolerance});
  if (actual.numel() == 0) return comparisons_.push_back({label, 0, tolerance});
  const double scale = scale_of(whole);
  at::Tensor gaps = difference(actual, expected);
  if (movement > 0) {
    const at::Tensor excused = at::logical_and(gaps > tolerance * scale, gaps <= movement);
    counted_ += excused.sum().item<double>();
    coordinates_ += static_cast<double>(gaps.numel());
    gaps = gaps.masked_fill(excused, 0);
  }
  const double gap = gaps.max().item<double>() / scale;
  comparisons_.push_back({label, std::isnan(gap) ? kInfinity : gap, tolerance});
}

void ParityReport::expect(const std::string& label, bool condition) {
  comparisons_.push_back({label, condition ? 0 : kInfinity, 0});
}

void ParityReport::end() {
  at::Tensor counts = at::tensor({counted_, coordinates_}, at::kDouble);
  comm_.all_reduce(counts, ReduceOp::kSum);
  const double counted = counts[0].item<double>();
  expect("coordinates within Adam's movement: at most one in a thousand",
         counted <= kCountedShare * counts[1].item<double>());

  at::Tensor gaps = at::empty({static_cast<int64_t>(comparisons_.size())}, at::kDouble);
  for (size_t n = 0; n < comparisons_.size(); ++n) gaps[static_cast<int64_t>(n)] = comparisons_[n].gap;
  comm_.all_reduce(gaps, ReduceOp::kMax);
  const double* const gap = gaps.const_data_ptr<double>();
  const bool prints = comm_.rank() == 0;
  int64_t failed = 0;
  size_t largest = 0;
  for (size_t n = 0; n < comparisons_.size(); ++n) {
    if (gap[n] > gap[largest]) largest = n;
    if (gap[n] <= comparisons_[n].tolerance) continue;
    if (prints && ++failed <= 10) {
      std::printf("FAILED %s: %s: gap %.2e, limit %.0e\n", family_.c_str(), comparisons_[n].label.c_str(), gap[n],
                  comparisons_[n].tolerance);
    } else if (!prints) {
      ++failed;
    }
  }
  const auto total = static_cast<int64_t>(comparisons_.size());
  if (prints) {
    std::printf("%-24s %5lld passed, %lld failed, largest gap %.1e of %.0e (%s)", family_.c_str(),
                static_cast<long long>(total - failed), static_cast<long long>(failed), gap[largest],
                comparisons_[largest].tolerance, comparisons_[largest].label.c_str());
    if (counted > 0) std::printf(", %.0f coordinates within Adam's movement", counted);
    std::printf("\n");
    std::fflush(stdout);
  }
  passed_ += total - failed;
  failed_ += failed;
  comparisons_.clear();
  counted_ = coordinates_ = 0;
}

bool ParityReport::close() const {
  if (comm_.rank() == 0)
    std::printf("%lld passed, %lld failed\n", static_cast<long long>(passed_), static_cast<long long>(failed_));
  return failed_ == 0 && passed_ > 0;
}

}  // namespace cllm::golden
