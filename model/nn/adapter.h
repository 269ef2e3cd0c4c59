#pragma once

// Letters: T tokens, I inputs and O outputs of a matrix, r rank.

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <string>
#include <vector>

namespace cllm {

/// Low-rank adapters beside the frozen matrices of a backbone (LoRA: Hu et al., ICLR 2022):
/// y = W x + alpha / rank * B (A dropout(x)).
struct AdapterOptions {
  int64_t rank = 0;                       // 0: none
  double alpha = 16, dropout = 0;         // dropout: of training, Dropout::adapters
  std::vector<std::string> modules = {};  // ends of the matrices' names, as q_proj or attn.c_proj; empty: the family's
  std::vector<int64_t> layers = {};       // empty: all
  uint64_t seed = 0;
};

/// One matrix's adapter; or none, which adds nothing.
class Adapter {
 public:
  Adapter() = default;
  /// `a_rI`, `b_Or`: leaves that require gradients, fp32 or fp64. `salt` separates its dropout from that of others.
  Adapter(at::Tensor a_rI, at::Tensor b_Or, double scale, uint64_t salt);

  bool exists() const { return a_rI_.defined(); }
  /// y [T, O] + scale * dropout(x [T, I]) A^T B^T, computed in the precision of A and rounded to that of y.
  /// `keys_T`, `rate`: of the dropout, as DropoutSite has them.
  at::Tensor added_to(const at::Tensor& y_TO, const at::Tensor& x_TI, const at::Tensor& keys_T, double rate) const;
  /// What it adds to the matrix: scale * B A [O, I].
  at::Tensor delta_OI() const;

 private:
  at::Tensor a_rI_, b_Or_;
  double scale_ = 0;
  uint64_t salt_ = 0;
};

}  // namespace cllm
