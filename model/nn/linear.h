#pragma once

#include <ATen/core/Tensor.h>

namespace cllm {

/// x -> x W for a weight [in, out]. Products of a frozen bf16 weight on the CPU: forward on a copy that oneDNN has laid
/// out once (AMX tiles need that layout; otherwise every product would reorder the weight, which few tokens do not
/// repay), backward, whose batches have many tokens, on the weight itself; on a CPU that does not multiply bf16 both on
/// the weight itself, values converted block by block.
class Linear {
 public:
  Linear() = default;
  /// `frozen`: a bf16 weight on the CPU that never changes and needs no gradient.
  Linear(const at::Tensor& weight, bool frozen);

  /// [T, in] -> [T, out] in the weight's dtype. Differentiable in x, and in the weight if it is not frozen.
  at::Tensor operator()(const at::Tensor& x) const;
  /// The same plus a bias [out] of any dtype, which a GPU's product adds before it rounds. Not frozen.
  at::Tensor plus(const at::Tensor& x, const at::Tensor& bias) const;

 private:
  at::Tensor weight_;  // [in, out]
  bool wide_ = false;  // products in fp32 of a bf16 weight
  at::Tensor packed_;  // opaque oneDNN layout of W^T; undefined: products of the weight
};

}  // namespace cllm
