#include "model/recommenders/titles/word_inputs.h"

#include <ATen/ops/empty.h>

#include "model/kernels/compute_dtype.h"
#include "model/step/encode.h"

namespace cllm {

at::Tensor word_inputs(const Backbone& backbone, const TokenSources& tokens) {
  const at::Tensor& words_ND = backbone.word_embedding();
  const at::Tensor none_0D = at::empty(
      {0, backbone.width()}, words_ND.options().dtype(residual_dtype(words_ND.scalar_type())).requires_grad(false));
  return embed(tokens, words_ND, none_0D, at::empty({0}, none_0D.options().dtype(at::kLong)));
}

}  // namespace cllm
