#pragma once

// A linear teacher of which each item's largest weights are kept, for many items: J n numbers instead of J^2. Letters
// as in soft_labels.h.

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <string>
#include <vector>

#include "model/recommenders/cllm4rec/objective/teacher.h"

namespace cllm {

/// Keeps the `top` entries of each row of B [J, J] that are largest by their size, the diagonal apart, in their place.
/// Returns B with zeros for the others.
at::Tensor keep_largest(at::Tensor B, int64_t top);

/// ln q = z / beta + popularity ln(n + 1/2), z_j = sum_S B_ij over the items S that a position has shown.
class SparseTeacher : public TemperedLabels {
 public:
  struct Setup {
    int64_t top;
    double beta, popularity;
  };
  /// `weights_Jv`: the columns of B of this rank's items, on the host, mostly 0. `counts_v`: of them. `options`: fp32
  /// or fp64, on the device. Local.
  SparseTeacher(const at::Tensor& weights_Jv, const Setup& setup, const at::Tensor& counts_v,
                const at::TensorOptions& options);

  void start(Communicator&, const HistoryTensors& all) override { now_ = all; }
  at::Tensor logits(Range positions, Range rows) const override;
  std::string describe() const override;
  void set_beta(double beta) override { setup_.beta = beta, chosen_ = true; }
  /// z [b, v], sums of rows in the order in which they are shown.
  at::Tensor scores(Range positions, Range rows) const;

 private:
  void add_row(at::Tensor& sum_v, int64_t item, Range rows) const;

  Setup setup_;
  bool chosen_ = false;                          // beta
  std::vector<int64_t> offsets_J1_, column_of_;  // of an item's entries; ascending within an item
  at::Tensor columns_, values_, popularity_v_;   // on the device
  HistoryTensors now_;
};

}  // namespace cllm
