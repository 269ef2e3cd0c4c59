#include "model/recommenders/cllm4rec/bag/bag_backbone.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/cat.h>

#include "model/errors.h"
#include "model/nn/dropout.h"
#include "model/tables/table.h"

namespace cllm {
namespace {

/// Of every token the sum over its sequence up to it. One sequence at a time: sums do not depend on what is packed
/// together.
at::Tensor running_sums(const at::Tensor& x_TD, const PackedLayout& layout) {
  std::vector<at::Tensor> parts;
  for (int64_t b = 0; b < layout.num_sequences(); ++b) {
    const int64_t begin = layout.offsets[static_cast<size_t>(b)], end = layout.offsets[static_cast<size_t>(b) + 1];
    parts.push_back(x_TD.narrow(0, begin, end - begin).cumsum(0));
  }
  return at::cat(parts);
}

}  // namespace

BagBackbone::BagBackbone(int64_t width, const BackboneOptions& options)
    : compute_(options.compute), words_ND_(lazy_zeros({options.num_words, width}, options.parameters, options.device)) {
}

at::Tensor BagBackbone::forward(const at::Tensor& x_TD, const PackedLayout& layout, const Dropout& dropout) const {
  const at::Tensor counts_T1 = x_TD.detach().ne(0).any(1, /*keepdim=*/true).to(x_TD.scalar_type());
  const at::Tensor kept_TD =
      cllm::dropout(x_TD, {.keys_T = layout.dropout_keys_T, .rate = dropout.embedding, .salt = 0});
  at::Tensor out = running_sums(kept_TD, layout) / running_sums(counts_T1, layout).clamp_min(1);
  if (layout.output_rows_A.defined()) out = out.index_select(0, layout.output_rows_A);
  return out.to(compute_);
}

void BagBackbone::save(const std::string& dir, const std::vector<at::Tensor>&) const {
  throw ModelError("run.backbone = \"none\" is no language model that " + dir +
                   " could hold; the tables beside it are complete");
}

}  // namespace cllm
