#include "model/backbones/decoder/decoder.h"

// Letters: T tokens, D width, H query heads, K key heads, h head width, n tokens of a sequence.

#include <ATen/TensorOperators.h>
#include <ATen/ops/full.h>
#include <ATen/ops/index_select.h>
#include <ATen/ops/tensor.h>

#include <cmath>
#include <map>
#include <optional>

#include "model/backbones/projection.h"
#include "model/errors.h"
#include "model/kernels/compute_dtype.h"
#include "model/nn/dropout.h"
#include "model/nn/few_sizes.h"
#include "model/nn/fused/gated.h"
#include "model/nn/fused/rotary.h"
#include "model/nn/heads/grouped_attention.h"
#include "model/nn/recompute.h"

namespace cllm {
namespace {

/// Places of a layer where dropout acts; part of its salt.
enum Place : uint64_t { kEmbedding, kAfterAttention, kAfterMlp };

DropoutSite site(const at::Tensor& keys, double rate, int64_t layer, Place place) {
  return {keys, rate, static_cast<uint64_t>(layer) * 8 + place};
}

}  // namespace

struct Decoder::Block {
  RmsNorm input_norm, attention_norm, mlp_norm, output_norm;  // attention_norm, output_norm: of post_norms
  RmsNorm query_norm, key_norm;                               // of qk_norm
  Projection query, key, value, attention_out, gate, up, down;
};

/// What the blocks of one forward pass share.
struct Decoder::Pass {
  PackedLayout layout;
  Dropout dropout;
  std::vector<Angles> angles;  // of every rotation
};

Decoder::Decoder(DecoderConfig config, Parameters parameters, BackboneOptions options)
    : config_(std::move(config)), options_(options), parameters_(std::move(parameters)),
      adapters_(options.adapters, {kDecoderPrefix, {"q_proj", "v_proj"}}, options.parameters, options.device) {
  std::map<std::string, at::Tensor> by_name;
  for (auto& [name, parameter] : parameters_) {
    parameter = parameter.to(options.device);
    by_name[name] = parameter;
  }
  const auto find = [&](const std::string& name) {
    const auto found = by_name.find(name);
    return found == by_name.end() ? at::Tensor() : found->second;
  };
  const auto norm = [&](const std::string& name) {
    return RmsNorm{find(name + ".weight"), config_.epsilon, config_.norm_offset};
  };
  for (int64_t layer = 0; layer < config_.num_layers; ++layer) {
    const std::string of = "layers." + std::to_string(layer) + ".", attention = of + "self_attn.";
    const auto projection = [&](const std::string& name) {
      const at::Tensor weight = find(name + ".weight");
      Adapter adapter = adapters_.of(name + ".weight", layer, weight.size(1), weight.size(0));
      return Projection(weight, find(name + ".bias"), std::move(adapter), options.compute);
    };
    const RmsNorm after_attention = norm(of + "post_attention_layernorm");
    blocks_.push_back({.input_norm = norm(of + "input_layernorm"),
                       .attention_norm = config_.post_norms ? after_attention : RmsNorm{},
                       .mlp_norm = config_.post_norms ? norm(of + "pre_feedforward_layernorm") : after_attention,
                       .output_norm = norm(of + "post_feedforward_layernorm"),
                       .query_norm = norm(attention + "q_norm"),
                       .key_norm = norm(attention + "k_norm"),
                       .query = projection(attention + "q_proj"),
                       .key = projection(attention + "k_proj"),
                       .value = projection(attention + "v_proj"),
                       .attention_out = projection(attention + "o_proj"),
                       .gate = projection(of + "mlp.gate_proj"),
                       .up = projection(of + "mlp.up_proj"),
                       .down = projection(of + "mlp.down_proj")});
  }
  adapters_.check();
  final_norm_ = norm("norm");
  text_head_ = text_head_parameter().to(options.compute);
}

Decoder::~Decoder() = default;

at::Tensor Decoder::attention(int64_t layer, const at::Tensor& n, const Pass& pass) const {
  const Block& block = blocks_[static_cast<size_t>(layer)];
  const Angles& angles = pass.angles[config_.rotation[static_cast<size_t>(layer)]];
  const auto of = [&](const Projection& projection) {
    return projection(n, pass.layout.dropout_keys_T, pass.dropout.adapters);
  };
  return grouped_attention(norm_and_rotate(of(block.query), block.query_norm, angles),
                           norm_and_rotate(of(block.key), block.key_norm, angles), of(block.value), pass.layout,
                           {config_.num_heads, config_.num_kv_heads, config_.head_width, config_.attention_scale,
                            config_.windows[static_cast<size_t>(layer)]});
}

/// x: residual stream before the block; n: x behind its first norm. Returns both for the next block, or behind the
/// final norm.
std::pair<at::Tensor, at::Tensor> Decoder::run_block(int64_t layer, const at::Tensor& x, const at::Tensor& n,
                                                     const Pass& pass) const {
  const Block& block = blocks_[static_cast<size_t>(layer)];
  const bool last = layer + 1 == config_.num_layers;
  const double rate = pass.dropout.adapters;
  at::Tensor attended = attention(layer, n, pass), before = x, keys = pass.layout.dropout_keys_T;
  if (last && pass.layout.output_rows_A.defined()) {  // nothing mixes tokens from here on
    attended = pick_rows(attended, pass.layout.output_rows_A);
    before = pick_rows(before, pass.layout.output_rows_A);
    if (keys.defined()) keys = keys.index_select(0, pass.layout.output_rows_A);
  }
  const auto [y, m] = add_and_rms_norm(before, block.attention_out(attended, keys, rate), block.attention_norm,
                                       block.mlp_norm, site(keys, pass.dropout.residual, layer, kAfterAttention));
  const at::Tensor inner = gated(block.gate(m, keys, rate), block.up(m, keys, rate), config_.gate);
  return add_and_rms_norm(y, block.down(inner, keys, rate), block.output_norm,
                          last ? final_norm_ : blocks_[static_cast<size_t>(layer) + 1].input_norm,
                          site(keys, pass.dropout.residual, layer, kAfterMlp));
}

at::Tensor Decoder::forward(const at::Tensor& x_TD, const PackedLayout& layout, const Dropout& dropout) const {
  if (dropout.attention > 0) {
    throw ModelError("a backbone of model_type " + config_.model_type +
                     " has no dropout of attention weights: set dropout.attention = 0");
  }
  return through(config_.num_layers, x_TD, layout, dropout);
}

at::Tensor Decoder::states_after(int64_t layer, const at::Tensor& x_TD, const PackedLayout& layout) const {
  return through(layer, x_TD, layout, {});
}

at::Tensor Decoder::through(int64_t layers, const at::Tensor& x_TD, const PackedLayout& layout,
                            const Dropout& dropout) const {
  if (layout.longest > config_.max_positions) {
    throw ModelError("a sequence has " + std::to_string(layout.longest) + " tokens, the backbone has " +
                     std::to_string(config_.max_positions) + " positions; cap histories and texts");
  }
  if (!is_compiled_for_size(x_TD, options_.compute)) return run_blocks(layers, x_TD, layout, dropout);
  const FilledBatch filled(x_TD, layout);
  return filled.own(run_blocks(layers, filled.x_TD, filled.layout, dropout));
}

at::Tensor Decoder::run_blocks(int64_t layers, const at::Tensor& x_TD, const PackedLayout& layout,
                               const Dropout& dropout) const {
  const at::ScalarType sums = residual_dtype(options_.compute);
  auto pass = std::make_shared<Pass>(Pass{layout, dropout, {}});  // backward may need it again
  for (const Rotation& rotation : config_.rotations) {
    const at::Tensor frequencies = at::tensor(rotation.frequencies(config_.head_width), at::kDouble).to(x_TD.device());
    const at::Tensor angles = layout.positions_T.to(at::kDouble).unsqueeze(1) * frequencies;
    pass->angles.push_back({angles.cos().to(sums), angles.sin().to(sums)});
  }
  at::Tensor x = x_TD.to(sums);
  if (config_.scaled_input) {  // the factor is rounded as the weights are (BACKBONES.md §7)
    const at::Tensor factor = at::full({}, std::sqrt(static_cast<double>(config_.width)), at::kDouble);
    x = x * factor.to(options_.compute).to(sums).item<double>();
  }
  x = cllm::dropout(x, site(layout.dropout_keys_T, dropout.embedding, 0, kEmbedding));
  at::Tensor n = rms_norm(x, blocks_.front().input_norm, options_.compute);
  for (int64_t layer = 0; layer < layers; ++layer) {
    const auto block = [this, layer, pass](const at::Tensor& in, const at::Tensor& normed) {
      return run_block(layer, in, normed, *pass);
    };
    // Backward begins with the last block: nothing would be gained by computing that again.
    const bool again = options_.recompute && layer + 1 < config_.num_layers;
    std::tie(x, n) = again ? recomputed(block, x, n) : block(x, n);
  }
  return layers == config_.num_layers ? n : x;
}

void Decoder::set_trainable(bool trainable) {
  if (trainable && !adapters_.empty()) {
    throw ModelError("a backbone is trained as a whole or beside its adapters: set one of the two");
  }
  if (trainable && options_.compute != options_.parameters) {
    throw ModelError("a trainable backbone computes in the dtype of its parameters; set its compute precision to fp32");
  }
  for (auto& [name, parameter] : parameters_) parameter.set_requires_grad(trainable);
}

double Decoder::flops(double tokens, double pairs) const {
  const auto D = static_cast<double>(config_.width), F = static_cast<double>(config_.inner_width),
             Q = static_cast<double>(config_.inner_heads()), K = static_cast<double>(config_.inner_kv());
  const double weights = 2 * D * Q + 2 * D * K + 3 * D * F;  // of a block: q and o, k and v, gate, up and down
  return static_cast<double>(config_.num_layers) * (2 * tokens * weights + 2 * pairs * Q);
}

}  // namespace cllm
