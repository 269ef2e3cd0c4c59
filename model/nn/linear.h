#pragma once

#include <ATen/core/Tensor.h>

namespace cllm {

/// x -> x W for a weight [in, out]. Products of a frozen bf16 weight on the CPU run on copies that oneDNN has laid out
/// once for the forward and once for the backward product (AMX tiles need that layout; otherwise every product would
/// reorder the weight); on a CPU that does not multiply bf16 on the weight itself, values converted block by block.
class Linear {
 public:
  Linear() = default;
  /// `packed`: the weight never changes and needs no gradient; it is kept in packed form only.
  Linear(const at::Tensor& weight, bool packed);

  /// [T, in] -> [T, out] in the weight's dtype. Differentiable in x, and in the weight if it is not packed.
  at::Tensor operator()(const at::Tensor& x) const;
  /// The same plus a bias [out] of any dtype, which a GPU's product adds before it rounds. Not packed.
  at::Tensor plus(const at::Tensor& x, const at::Tensor& bias) const;

 private:
  at::Tensor weight_;              // [in, out]; undefined if packed by oneDNN
  bool wide_ = false;              // products in fp32 of a bf16 weight
  at::Tensor forward_, backward_;  // opaque oneDNN layouts of W^T and W
};

}  // namespace cllm
