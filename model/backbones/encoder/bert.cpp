#include "model/backbones/encoder/bert.h"

// Letters: T tokens, D width, H heads, h head width, n tokens of a sequence.

#include <ATen/TensorOperators.h>
#include <ATen/ops/addmm.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/gelu.h>
#include <ATen/ops/index_select.h>
#include <ATen/ops/layer_norm.h>
#include <ATen/ops/tanh.h>
#include <ATen/ops/zeros.h>

#include <algorithm>
#include <cmath>

#include "model/backbones/projection.h"
#include "model/errors.h"
#include "model/kernels/compute_dtype.h"

namespace cllm {

struct Bert::Block {
  Projection query, key, value, attention_out, in, out;
  std::pair<at::Tensor, at::Tensor> attention_norm, output_norm;  // gains and biases
};

Bert::Bert(BertConfig config, Parameters parameters, BackboneOptions options)
    : config_(std::move(config)), options_(options), parameters_(std::move(parameters)) {
  if (options.adapters.rank > 0) throw ModelError("a bert has no adapters: it reads texts only");
  for (auto& [name, parameter] : parameters_) parameter = parameter.to(options.device);
  for (int64_t layer = 0; layer < config_.num_layers; ++layer) {
    const std::string of = "encoder.layer." + std::to_string(layer) + ".";
    const auto projection = [&](const std::string& name) {
      return Projection(find(of + name + ".weight"), find(of + name + ".bias"), {}, options.compute);
    };
    const auto norm = [&](const std::string& name) {
      return std::pair(find(of + name + ".weight"), find(of + name + ".bias"));
    };
    blocks_.push_back({.query = projection("attention.self.query"),
                       .key = projection("attention.self.key"),
                       .value = projection("attention.self.value"),
                       .attention_out = projection("attention.output.dense"),
                       .in = projection("intermediate.dense"),
                       .out = projection("output.dense"),
                       .attention_norm = norm("attention.output.LayerNorm"),
                       .output_norm = norm("output.LayerNorm")});
  }
}

Bert::~Bert() = default;

at::Tensor Bert::find(const std::string& name) const {
  const auto found = std::ranges::find(parameters_, name, &std::pair<std::string, at::Tensor>::first);
  return found == parameters_.end() ? at::Tensor() : found->second;
}

at::Tensor Bert::normed(const at::Tensor& x, const std::pair<at::Tensor, at::Tensor>& norm) const {
  return at::layer_norm(x, {config_.width}, norm.first.to(x.scalar_type()), norm.second.to(x.scalar_type()),
                        config_.epsilon);
}

/// Norms stand behind the additions.
at::Tensor Bert::run_block(const Block& block, const at::Tensor& x, const PackedLayout& layout) const {
  const int64_t heads = config_.num_heads, h = config_.width / heads;
  const at::ScalarType sums = x.scalar_type();
  const at::Tensor n = x.to(options_.compute);
  const auto of_heads = [&](const Projection& projection) {
    return projection(n, {}, 0).view({n.size(0), heads, h}).transpose(0, 1);
  };
  const at::Tensor q_HTh = of_heads(block.query), k_HTh = of_heads(block.key), v_HTh = of_heads(block.value);
  std::vector<at::Tensor> parts;
  for (size_t b = 0; b + 1 < layout.offsets.size(); ++b) {
    const int64_t first = layout.offsets[b], count = layout.offsets[b + 1] - first;
    const at::Tensor out_Hnh =
        biased_attention(q_HTh.narrow(1, first, count), k_HTh.narrow(1, first, count), v_HTh.narrow(1, first, count),
                         {}, 1 / std::sqrt(static_cast<double>(h)));
    parts.push_back(out_Hnh.transpose(0, 1).reshape({count, config_.width}));
  }
  const at::Tensor y = normed(x + block.attention_out(at::cat(parts), {}, 0).to(sums), block.attention_norm);
  const at::Tensor inner = at::gelu(block.in(y.to(options_.compute), {}, 0));
  return normed(y + block.out(inner, {}, 0).to(sums), block.output_norm);
}

at::Tensor Bert::states(int64_t layers, const at::Tensor& x_TD, const PackedLayout& layout,
                        const at::Tensor& types_T) const {
  if (layout.longest > config_.max_positions) {
    throw ModelError("a text has " + std::to_string(layout.longest) + " tokens, the backbone has " +
                     std::to_string(config_.max_positions) + " positions; cut texts");
  }
  const at::Tensor positions = find("embeddings.position_embeddings.weight"),
                   types = find("embeddings.token_type_embeddings.weight");
  at::Tensor x = x_TD.to(residual_dtype(options_.compute)) + positions.index_select(0, layout.positions_T) +
                 types.index_select(0, types_T);
  x = normed(x, {find("embeddings.LayerNorm.weight"), find("embeddings.LayerNorm.bias")});
  for (int64_t layer = 0; layer < layers; ++layer) x = run_block(blocks_[static_cast<size_t>(layer)], x, layout);
  return x.to(options_.compute);
}

at::Tensor Bert::states_after(int64_t layer, const at::Tensor& x_TD, const PackedLayout& layout) const {
  return states(layer, x_TD, layout, at::zeros({x_TD.size(0)}, layout.positions_T.options()));
}

at::Tensor Bert::forward(const at::Tensor& x_TD, const PackedLayout& layout, const Dropout& dropout) const {
  if (dropout.active()) throw ModelError("a bert reads texts without dropout: set the rates to 0");
  const at::Tensor all_TD = states_after(config_.num_layers, x_TD, layout);
  return layout.output_rows_A.defined() ? all_TD.index_select(0, layout.output_rows_A) : all_TD;
}

at::Tensor Bert::pooled(const at::Tensor& states_TD, const PackedLayout& layout) const {
  const at::Tensor weight = find("pooler.dense.weight");
  if (!weight.defined()) return {};
  const at::Tensor first_B = layout.offsets_B1.narrow(0, 0, layout.num_sequences()).to(at::kLong);
  const at::ScalarType dtype = states_TD.scalar_type();
  return at::tanh(
      at::addmm(find("pooler.dense.bias").to(dtype), states_TD.index_select(0, first_B), weight.to(dtype).t()));
}

void Bert::set_trainable(bool trainable) {
  if (trainable) throw ModelError("a bert is not trained here: it reads texts only");
}

double Bert::flops(double tokens, double pairs) const {
  const auto D = static_cast<double>(config_.width), F = static_cast<double>(config_.inner_width);
  return static_cast<double>(config_.num_layers) * (2 * tokens * (4 * D * D + 2 * D * F) + 4 * pairs * D);
}

}  // namespace cllm
