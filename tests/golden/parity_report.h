#pragma once

#include <ATen/core/Tensor.h>

#include <string>
#include <vector>

#include "dist/communicator/communicator.h"

namespace cllm::golden {

/// Collects comparisons of one family after the other and prints a line for each. Every rank makes the same comparisons
/// in the same order, each on its own part of the values; a comparison's gap is the largest of all ranks. gap = max|a -
/// b| / max(1e-3, max|b|), b the whole golden tensor.
class ParityReport {
 public:
  explicit ParityReport(Communicator& comm) : comm_(comm) {}

  void begin(const std::string& family) { family_ = family; }
  /// `actual` and `expected` are this rank's part, `whole` the golden tensor they are taken from.
  void compare(const std::string& label, const at::Tensor& actual, const at::Tensor& expected, const at::Tensor& whole,
               double tolerance);
  void compare(const std::string& label, double actual, double expected, double tolerance);
  /// As compare, for a table that Adam moved: elements beyond the tolerance but within `movement` are only counted.
  void compare_moved(const std::string& label, const at::Tensor& actual, const at::Tensor& expected,
                     const at::Tensor& whole, double tolerance, double movement);
  /// A condition that must hold on every rank.
  void expect(const std::string& label, bool condition);
  /// Joins the ranks and prints the family's line. At most one coordinate in a thousand may have been merely counted.
  /// Collective.
  void end();

  /// Prints the closing line; false if anything failed.
  bool close() const;

 private:
  struct Comparison {
    std::string label;
    double gap, tolerance;
  };
  Communicator& comm_;
  std::string family_;
  std::vector<Comparison> comparisons_;
  double counted_ = 0, coordinates_ = 0;
  int64_t passed_ = 0, failed_ = 0;
};

}  // namespace cllm::golden
