#pragma once

// One named part of a step's loss is one class. Its name is its column in the log, the report and the checkpoint. It
// computes either at the hidden states (HiddenTerm) or where rows are owned (OwnerTerm).
// Letters: A positions, K rows that a term asks for, J items, N words, D width, C pulled rows of this rank.

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <memory>
#include <string_view>
#include <utility>
#include <vector>

#include "model/kernels/rows/row_gradient.h"
#include "model/losses/softmax_head.h"

namespace cllm {

/// What a term at the hidden states sees, on the device.
struct HiddenInput {
  const at::Tensor& hidden_AD;  // in the compute dtype
  const Targets& targets;
  const at::Tensor& asked_KD;      // the rows that the term asked for, in its order
  const at::Tensor items_JD = {};  // of a term that reads_items(): this rank's
};

/// Gradients of a term; those that it does not have are undefined.
struct HiddenResult {
  double loss = 0;                     // this rank's part of a global sum
  at::Tensor hidden_gradient_AD = {};  // dtype of the hidden states
  at::Tensor asked_gradient_KD = {};   // in the table's compute dtype, like the next
  at::Tensor item_gradient_JD = {};    // of all items of this rank
  at::Tensor word_gradient_ND = {};    // of a trained text head
};

class HiddenTerm {
 public:
  virtual ~HiddenTerm() = default;
  virtual std::string_view name() const = 0;
  /// Rows of the trained table that it reads beside those of the tokens.
  virtual std::vector<int32_t> rows() const { return {}; }
  /// It reads all items of this rank: they are brought up to date before it is called.
  virtual bool reads_items() const { return false; }
  /// Collective. Without a graph.
  virtual HiddenResult value_and_gradients(const HiddenInput& input) = 0;
};

/// The terms of one step at the hidden states: loss = sum of weight * term.
class HiddenTerms {
 public:
  void add(double weight, std::unique_ptr<HiddenTerm> term) { terms_.push_back({weight, std::move(term)}); }

  /// Names in order.
  std::vector<std::string_view> names() const;
  /// Of one term after the other.
  std::vector<int32_t> rows() const;
  bool reads_items() const;

  struct Result {
    std::vector<double> values;  // this rank's part of each term, without its weight
    HiddenResult sum;            // weighted
  };
  /// `asked_KD`: of rows(); `items_JD`: this rank's, if reads_items(). Collective.
  Result value_and_gradients(const at::Tensor& hidden_AD, const Targets& targets, const at::Tensor& asked_KD,
                             const at::Tensor& items_JD = {}) const;

 private:
  struct Weighted {
    double weight;
    std::unique_ptr<HiddenTerm> term;
  };
  std::vector<Weighted> terms_;
};

/// Rows of this rank.
struct LocalRows {
  std::vector<int64_t> rows;  // [C] distinct, ascending
  at::Tensor rows_C;          // the same, int64, on the device
};

/// The gradient factor (row - fixed) of some rows, which their owner adds as it updates them.
struct RowPull {
  at::Tensor rows_C;     // as LocalRows; undefined: none
  at::Tensor factors_C;  // fp64
  at::Tensor fixed_ND;   // weights of the other table, same rows: they must stay until the update
};

/// Adds the pull to a gradient whose rows include those of the pull.
void add_pull(const RowPull& pull, kernels::RowGradient& gradient);

/// This rank's part of a term, and the gradient that it leaves to the update.
struct OwnerResult {
  at::Tensor value;  // fp64, one number on the device; without the weight
  RowPull pull;
};

class OwnerTerm {
 public:
  virtual ~OwnerTerm() = default;
  virtual std::string_view name() const = 0;
  /// Finds the rows that it reads, of both tables; all of them must move in the step, and are brought up to date before
  /// value_and_pull(). Collective, once.
  virtual const LocalRows& find_rows() = 0;
  /// `weight`: of the term in the loss. Local.
  virtual OwnerResult value_and_pull(double weight) = 0;
};

}  // namespace cllm
