#pragma once

// Terms between the positions of an update, on the unit sphere. Letters: A positions, K = A rows, D width.

#include <cstdint>
#include <string_view>
#include <utility>
#include <vector>

#include "dist/communicator/communicator.h"
#include "model/losses/loss_term.h"

namespace cllm {

/// Weights of the terms; 0: not computed.
struct ContrastOptions {
  double uniformity = 0, contrastive = 0;
  double temperature = 0.2;  // of contrastive

  bool active() const { return uniformity > 0 || contrastive > 0; }
};

/// What the positions of this rank stand for.
struct ContrastPositions {
  std::vector<int64_t> owners_A;  // alike for positions of one user, over all ranks
  std::vector<int32_t> items_A;   // the item that a position predicts
};

/// With h the hidden state of a position and w the row of its item, both at length 1, over the positions of all ranks:
///   "uniformity"   1/2 ln mean e^(-2 |h_a - h_b|^2) over pairs of different users
///                  + 1/2 ln mean e^(-2 |w_a - w_b|^2) over pairs of different items (Wang & Isola 2020; DirectAU,
///                  2022)
///   "contrastive"  mean of - ln (e^(h_a w_a / t) / sum_b e^(h_a w_b / t)), b = a and the positions of other users with
///                  other items (CLRec; RecDCL, 2024)
/// Asks for the rows of its items. Memory is that of [A, A of this rank]. A mean of no pairs is left out; a vector of
/// length 0 stays one and gets no gradient.
class ContrastTerm : public HiddenTerm {
 public:
  enum class Kind { kUniformity, kContrastive };
  /// The rows of the items follow one another from `first_row` on.
  ContrastTerm(Kind kind, Communicator& comm, int64_t first_row, ContrastPositions positions, double temperature)
      : kind_(kind), comm_(comm), first_row_(first_row), positions_(std::move(positions)), temperature_(temperature) {}
  std::string_view name() const override { return kind_ == Kind::kUniformity ? "uniformity" : "contrastive"; }
  std::vector<int32_t> rows() const override;
  HiddenResult value_and_gradients(const HiddenInput& input) override;

 private:
  Kind kind_;
  Communicator& comm_;
  int64_t first_row_;
  ContrastPositions positions_;
  double temperature_;
};

}  // namespace cllm
