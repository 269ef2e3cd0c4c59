#include "model/backbones/decoder/decoder.h"

// Letters: T tokens, D width, H query heads, K key heads, h head width, n tokens of a sequence.

#include <ATen/TensorOperators.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/full.h>
#include <ATen/ops/gelu.h>
#include <ATen/ops/index_select.h>
#include <ATen/ops/repeat_interleave.h>
#include <ATen/ops/scaled_dot_product_attention.h>
#include <ATen/ops/silu.h>
#include <ATen/ops/tensor.h>

#include <cmath>
#include <map>
#include <optional>

#include "model/backbones/projection.h"
#include "model/errors.h"
#include "model/kernels/compute_dtype.h"
#include "model/nn/dropout.h"
#include "model/nn/few_sizes.h"
#include "model/nn/recompute.h"

namespace cllm {
namespace {

/// Places of a layer where dropout acts; part of its salt.
enum Place : uint64_t { kEmbedding, kAfterAttention, kAfterMlp };

DropoutSite site(const at::Tensor& keys, double rate, int64_t layer, Place place) {
  return {keys, rate, static_cast<uint64_t>(layer) * 8 + place};
}

/// x [T, heads, h] rotated by the angles of its positions: cos and sin [T, 1, h / 2].
at::Tensor rotated(const at::Tensor& x, const at::Tensor& cos, const at::Tensor& sin) {
  const int64_t half = x.size(2) / 2;
  const at::Tensor first = x.narrow(2, 0, half), second = x.narrow(2, half, half);
  return at::cat({first * cos - second * sin, second * cos + first * sin}, 2);
}

/// Which keys each query sees, bool [n, n].
at::Tensor window_mask(int64_t n, int64_t window, at::Device device) {
  const at::Tensor place = at::arange(n, at::TensorOptions().dtype(at::kLong).device(device));
  const at::Tensor behind = place.unsqueeze(1) - place.unsqueeze(0);
  return behind.ge(0).logical_and(behind.lt(window));
}

}  // namespace

struct Decoder::Block {
  at::Tensor input_norm, attention_norm, mlp_norm, output_norm;  // attention_norm, output_norm: of post_norms
  at::Tensor query_norm, key_norm;                               // of qk_norm
  Projection query, key, value, attention_out, gate, up, down;
};

/// What the blocks of one forward pass share.
struct Decoder::Pass {
  PackedLayout layout;
  Dropout dropout;
  std::vector<std::pair<at::Tensor, at::Tensor>> angles;  // cos and sin [T, 1, h / 2] of every rotation
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
  for (int64_t layer = 0; layer < config_.num_layers; ++layer) {
    const std::string of = "layers." + std::to_string(layer) + ".", attention = of + "self_attn.";
    const auto projection = [&](const std::string& name) {
      const at::Tensor weight = find(name + ".weight");
      Adapter adapter = adapters_.of(name + ".weight", layer, weight.size(1), weight.size(0));
      return Projection(weight, find(name + ".bias"), std::move(adapter), options.compute);
    };
    const at::Tensor after_attention = find(of + "post_attention_layernorm.weight");
    blocks_.push_back({.input_norm = find(of + "input_layernorm.weight"),
                       .attention_norm = config_.post_norms ? after_attention : at::Tensor(),
                       .mlp_norm = config_.post_norms ? find(of + "pre_feedforward_layernorm.weight") : after_attention,
                       .output_norm = find(of + "post_feedforward_layernorm.weight"),
                       .query_norm = find(attention + "q_norm.weight"),
                       .key_norm = find(attention + "k_norm.weight"),
                       .query = projection(attention + "q_proj"),
                       .key = projection(attention + "k_proj"),
                       .value = projection(attention + "v_proj"),
                       .attention_out = projection(attention + "o_proj"),
                       .gate = projection(of + "mlp.gate_proj"),
                       .up = projection(of + "mlp.up_proj"),
                       .down = projection(of + "mlp.down_proj")});
  }
  adapters_.check();
  final_norm_ = find("norm.weight");
  text_head_ = text_head_parameter().to(options.compute);
}

Decoder::~Decoder() = default;

at::Tensor Decoder::attention(int64_t layer, const at::Tensor& n, const Pass& pass) const {
  const Block& block = blocks_[static_cast<size_t>(layer)];
  const int64_t T = n.size(0), h = config_.head_width, window = config_.windows[static_cast<size_t>(layer)];
  const auto& angles = pass.angles[config_.rotation[static_cast<size_t>(layer)]];
  const at::ScalarType sums = residual_dtype(options_.compute);
  const at::Tensor& keys = pass.layout.dropout_keys_T;
  const double rate = pass.dropout.adapters;
  const auto heads = [&](const Projection& projection, int64_t count, const at::Tensor& norm) {
    at::Tensor x = projection(n, keys, rate).view({T, count, h}).to(sums);
    if (norm.defined()) x = rms_norm(x, norm, config_.epsilon, config_.norm_offset);
    return rotated(x, angles.first, angles.second).to(options_.compute);
  };
  const at::Tensor q_THh = heads(block.query, config_.num_heads, block.query_norm);
  const int64_t group = config_.num_heads / config_.num_kv_heads;  // query heads of a key head
  const auto of_queries = [&](const at::Tensor& x) { return group == 1 ? x : at::repeat_interleave(x, group, 1); };
  const at::Tensor k_THh = of_queries(heads(block.key, config_.num_kv_heads, block.key_norm)),
                   v_THh = of_queries(block.value(n, keys, rate).view({T, config_.num_kv_heads, h}));
  std::vector<at::Tensor> parts;
  for (int64_t b = 0; b < pass.layout.num_sequences(); ++b) {
    const int64_t first = pass.layout.offsets[static_cast<size_t>(b)],
                  count = pass.layout.offsets[static_cast<size_t>(b) + 1] - first;
    const auto part = [&](const at::Tensor& x) { return x.narrow(0, first, count).transpose(0, 1).unsqueeze(0); };
    const bool narrow = window > 0 && window < count;
    const std::optional<at::Tensor> mask =
        narrow ? std::optional(window_mask(count, window, n.device())) : std::optional<at::Tensor>();
    const at::Tensor out = at::scaled_dot_product_attention(part(q_THh), part(k_THh), part(v_THh), mask, 0.0, !narrow,
                                                            config_.attention_scale);
    parts.push_back(out.squeeze(0).transpose(0, 1).reshape({count, config_.inner_heads()}));
  }
  return at::cat(parts);
}

/// x: residual stream before the block; n: x behind its first norm. Returns both for the next block, or behind the
/// final norm.
std::pair<at::Tensor, at::Tensor> Decoder::run_block(int64_t layer, const at::Tensor& x, const at::Tensor& n,
                                                     const Pass& pass) const {
  const Block& block = blocks_[static_cast<size_t>(layer)];
  const bool last = layer + 1 == config_.num_layers;
  const at::ScalarType sums = residual_dtype(options_.compute);
  const auto norm = [&](const at::Tensor& of, const at::Tensor& weight) {
    return rms_norm(of, weight, config_.epsilon, config_.norm_offset);
  };
  const auto add = [&](const at::Tensor& to, const at::Tensor& out, const at::Tensor& post, const at::Tensor& keys,
                       Place place) {
    const at::Tensor part = out.to(sums);
    return to + dropout(post.defined() ? norm(part, post) : part, site(keys, pass.dropout.residual, layer, place));
  };
  const double rate = pass.dropout.adapters;
  at::Tensor attended = attention(layer, n, pass), before = x, keys = pass.layout.dropout_keys_T;
  if (last && pass.layout.output_rows_A.defined()) {  // nothing mixes tokens from here on
    attended = pick_rows(attended, pass.layout.output_rows_A);
    before = pick_rows(before, pass.layout.output_rows_A);
    if (keys.defined()) keys = keys.index_select(0, pass.layout.output_rows_A);
  }
  const at::Tensor y =
      add(before, block.attention_out(attended, keys, rate), block.attention_norm, keys, kAfterAttention);
  const at::Tensor m = norm(y, block.mlp_norm).to(options_.compute), gate = block.gate(m, keys, rate);
  const at::Tensor inner =
      (config_.gate == Gate::kSilu ? at::silu(gate) : at::gelu(gate, "tanh")) * block.up(m, keys, rate);
  const at::Tensor out = add(y, block.down(inner, keys, rate), block.output_norm, keys, kAfterMlp);
  const at::Tensor& next = last ? final_norm_ : blocks_[static_cast<size_t>(layer) + 1].input_norm;
  return {out, norm(out, next).to(options_.compute)};
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
  if (options_.compute != at::kBFloat16 || !x_TD.is_cpu()) return run_blocks(layers, x_TD, layout, dropout);
  const FilledBatch filled(x_TD, layout);
  return filled.own(run_blocks(layers, filled.x_TD, filled.layout, dropout));
}

at::Tensor Decoder::run_blocks(int64_t layers, const at::Tensor& x_TD, const PackedLayout& layout,
                               const Dropout& dropout) const {
  const at::ScalarType sums = residual_dtype(options_.compute);
  auto pass = std::make_shared<Pass>(Pass{layout, dropout, {}});  // backward may need it again
  for (const Rotation& rotation : config_.rotations) {
    const at::Tensor frequencies = at::tensor(rotation.frequencies(config_.head_width), at::kDouble).to(x_TD.device());
    const at::Tensor angles = (layout.positions_T.to(at::kDouble).unsqueeze(1) * frequencies).unsqueeze(1);
    pass->angles.emplace_back(angles.cos().to(sums), angles.sin().to(sums));
  }
  at::Tensor x = x_TD.to(sums);
  if (config_.scaled_input) {  // the factor is rounded as the weights are (BACKBONES.md §7)
    const at::Tensor factor = at::full({}, std::sqrt(static_cast<double>(config_.width)), at::kDouble);
    x = x * factor.to(options_.compute).to(sums).item<double>();
  }
  x = cllm::dropout(x, site(layout.dropout_keys_T, dropout.embedding, 0, kEmbedding));
  at::Tensor n = rms_norm(x, blocks_.front().input_norm, config_.epsilon, config_.norm_offset).to(options_.compute);
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
