#include "model/backbones/gpt2/gpt2.h"

#include <ATen/ops/add.h>
#include <ATen/ops/full.h>
#include <ATen/ops/index_select.h>

#include <cmath>

#include "model/backbones/start_weight.h"
#include "model/errors.h"
#include "model/kernels/compute_dtype.h"
#include "model/nn/add_norm.h"
#include "model/nn/attention.h"
#include "model/nn/few_sizes.h"
#include "model/nn/gelu.h"
#include "model/nn/heads/device_attention.h"
#include "model/nn/linear.h"
#include "model/nn/recompute.h"

namespace cllm {

namespace {

// Positions of a block's parameters in the list of gpt2_parameter_shapes, which starts with wte and wpe.
constexpr size_t kFirstBlock = 2, kPerBlock = 12;

/// Places of a layer where dropout acts; part of its salt.
enum Place : uint64_t { kEmbedding, kAttention, kAfterAttention, kAfterMlp };

}  // namespace

struct Gpt2::Block {
  Norm norm1, norm2;
  Linear qkv, attention_out, mlp_in, mlp_out;
  at::Tensor qkv_bias, attention_out_bias, mlp_in_bias, mlp_out_bias;
  Adapter of_qkv, of_attention_out, of_mlp_in, of_mlp_out;
};

std::vector<std::pair<std::string, std::vector<int64_t>>> gpt2_parameter_shapes(const Gpt2Config& config) {
  const int64_t D = config.width, F = config.mlp_width();
  std::vector<std::pair<std::string, std::vector<int64_t>>> shapes{{"wte.weight", {config.num_words, D}},
                                                                   {"wpe.weight", {config.max_positions, D}}};
  for (int64_t layer = 0; layer < config.num_layers; ++layer) {
    const std::string h = "h." + std::to_string(layer) + ".";
    shapes.insert(shapes.end(), {{h + "ln_1.weight", {D}},
                                 {h + "ln_1.bias", {D}},
                                 {h + "attn.c_attn.weight", {D, 3 * D}},
                                 {h + "attn.c_attn.bias", {3 * D}},
                                 {h + "attn.c_proj.weight", {D, D}},
                                 {h + "attn.c_proj.bias", {D}},
                                 {h + "ln_2.weight", {D}},
                                 {h + "ln_2.bias", {D}},
                                 {h + "mlp.c_fc.weight", {D, F}},
                                 {h + "mlp.c_fc.bias", {F}},
                                 {h + "mlp.c_proj.weight", {F, D}},
                                 {h + "mlp.c_proj.bias", {D}}});
  }
  shapes.insert(shapes.end(), {{"ln_f.weight", {D}}, {"ln_f.bias", {D}}});
  return shapes;
}

Gpt2::Gpt2(const Gpt2Config& config, Parameters parameters, BackboneOptions options)
    : config_(config), options_(options), parameters_(std::move(parameters)),
      adapters_(options.adapters, {kGpt2Prefix, {"c_attn"}, /*keeps_inputs_first=*/true}, options.parameters,
                options.device) {
  TORCH_CHECK(options.parameters == at::kFloat || options.parameters == at::kDouble, "parameters must be fp32 or fp64");
  TORCH_CHECK(
      options.compute == options.parameters || (options.compute == at::kBFloat16 && options.parameters == at::kFloat),
      "compute must be the parameter dtype, or bf16 with fp32 parameters");
  TORCH_CHECK(parameters_.size() == gpt2_parameter_shapes(config).size(), "wrong number of parameters");
  for (auto& [name, parameter] : parameters_) parameter = parameter.to(options.device);
  const auto vector = [&](size_t n) { return parameters_[n].second; };
  const auto linear = [&](size_t n) {
    const at::Tensor weight = parameters_[n].second.to(options.compute);
    return Linear(weight, options.compute == at::kBFloat16 && weight.is_cpu());
  };
  const auto adapter = [&](int64_t layer, size_t n) {
    const auto& [name, weight] = parameters_[n];
    return adapters_.of(name, layer, weight.size(0), weight.size(1));
  };
  for (int64_t layer = 0; layer < config.num_layers; ++layer) {
    const size_t n = kFirstBlock + kPerBlock * static_cast<size_t>(layer);
    blocks_.push_back({.norm1 = {vector(n), vector(n + 1), config.layer_norm_epsilon},
                       .norm2 = {vector(n + 6), vector(n + 7), config.layer_norm_epsilon},
                       .qkv = linear(n + 2),
                       .attention_out = linear(n + 4),
                       .mlp_in = linear(n + 8),
                       .mlp_out = linear(n + 10),
                       .qkv_bias = vector(n + 3),
                       .attention_out_bias = vector(n + 5),
                       .mlp_in_bias = vector(n + 9),
                       .mlp_out_bias = vector(n + 11),
                       .of_qkv = adapter(layer, n + 2),
                       .of_attention_out = adapter(layer, n + 4),
                       .of_mlp_in = adapter(layer, n + 8),
                       .of_mlp_out = adapter(layer, n + 10)});
  }
  adapters_.check();
  text_head_ = parameters_.front().second.to(options.compute);
  positions_ = vector(1);
  final_gamma_ = vector(parameters_.size() - 2);
  final_beta_ = vector(parameters_.size() - 1);
}

Gpt2::~Gpt2() = default;

/// What the blocks of one forward pass share.
struct Gpt2::Pass {
  PackedLayout layout;
  Dropout dropout;
};

namespace {

DropoutSite site(const at::Tensor& keys, double rate, int64_t layer, Place place) {
  return {keys, rate, static_cast<uint64_t>(layer) * 8 + place};
}

}  // namespace

/// x: residual stream before the block; n: x behind its first norm. Returns both for the next block, or behind the
/// final norm.
std::pair<at::Tensor, at::Tensor> Gpt2::run_block(int64_t layer, at::Tensor x, const at::Tensor& n,
                                                  const Pass& pass) const {
  const Block& block = blocks_[layer];
  const bool last = layer + 1 == config_.num_layers;
  const Norm& next = last ? Norm{final_gamma_, final_beta_, config_.layer_norm_epsilon} : blocks_[layer + 1].norm1;
  at::Tensor keys = pass.layout.dropout_keys_T;
  const bool added = !n.is_cpu();  // by the product; on the CPU attention adds the bias
  const auto adapted = [&](const Adapter& adapter, const at::Tensor& y, const at::Tensor& of) {
    return adapter.added_to(y, of, keys, pass.dropout.adapters);
  };
  const at::Tensor qkv = adapted(block.of_qkv, added ? block.qkv.plus(n, block.qkv_bias) : block.qkv(n), n);
  at::Tensor attended = causal_attention(qkv, added ? at::Tensor() : block.qkv_bias, pass.layout, config_.num_heads,
                                         site(keys, pass.dropout.attention, layer, kAttention));
  if (last && pass.layout.output_rows_A.defined()) {  // nothing mixes tokens from here on
    attended = pick_rows(attended, pass.layout.output_rows_A);
    x = pick_rows(x, pass.layout.output_rows_A);
    if (keys.defined()) keys = keys.index_select(0, pass.layout.output_rows_A);
  }
  const auto [y, m] =
      add_and_norm(x, adapted(block.of_attention_out, block.attention_out(attended), attended),
                   block.attention_out_bias, block.norm2, site(keys, pass.dropout.residual, layer, kAfterAttention));
  const at::Tensor inner =
      bias_gelu(adapted(block.of_mlp_in, block.mlp_in(m), m), block.mlp_in_bias, config_.activation);
  return add_and_norm(y, adapted(block.of_mlp_out, block.mlp_out(inner), inner), block.mlp_out_bias, next,
                      site(keys, pass.dropout.residual, layer, kAfterMlp));
}

at::Tensor Gpt2::forward(const at::Tensor& x_TD, const PackedLayout& layout, const Dropout& dropout) const {
  return through(config_.num_layers, x_TD, layout, dropout);
}

at::Tensor Gpt2::states_after(int64_t layer, const at::Tensor& x_TD, const PackedLayout& layout) const {
  return through(layer, x_TD, layout, {});
}

at::Tensor Gpt2::through(int64_t layers, const at::Tensor& x_TD, const PackedLayout& layout,
                         const Dropout& dropout) const {
  if (layout.longest > config_.max_positions) {
    throw ModelError("a sequence has " + std::to_string(layout.longest) + " tokens, the backbone has " +
                     std::to_string(config_.max_positions) + " positions; cap histories and texts");
  }
  if (!is_compiled_for_size(x_TD, options_.compute)) return run_blocks(layers, x_TD, layout, dropout);
  const FilledBatch filled(x_TD, layout);
  return filled.own(run_blocks(layers, filled.x_TD, filled.layout, dropout));
}

at::Tensor Gpt2::run_blocks(int64_t layers, const at::Tensor& x_TD, const PackedLayout& layout,
                            const Dropout& dropout) const {
  const auto pass = std::make_shared<const Pass>(Pass{layout, dropout});  // backward may need it again
  at::Tensor x = at::add(x_TD.to(residual_dtype(options_.compute)), positions_.index_select(0, layout.positions_T));
  x = cllm::dropout(x, site(layout.dropout_keys_T, dropout.embedding, 0, kEmbedding));
  at::Tensor n = norm_only(x, blocks_.front().norm1, options_.compute);
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

/// Flash attention alone reads the lengths on the device, and draws its dropout mask from a seed that the host sets.
bool Gpt2::can_be_recorded(const Dropout& dropout) const {
  return device::is_for_flash(options_.compute, config_.width / config_.num_heads) && dropout.attention == 0 &&
         trainable().empty();
}

void Gpt2::set_trainable(bool trainable) {
  if (trainable && !adapters_.empty()) {
    throw ModelError("a backbone is trained as a whole or beside its adapters: set one of the two");
  }
  if (trainable && options_.compute != options_.parameters) {
    throw ModelError("a trainable backbone computes in the dtype of its parameters; set its compute precision to fp32");
  }
  for (auto& [name, parameter] : parameters_) parameter.set_requires_grad(trainable);
}

double Gpt2::flops(double tokens, double pairs) const {
  const auto D = static_cast<double>(config_.width), F = static_cast<double>(config_.mlp_width());
  const double weights = 4 * D * D + 2 * D * F;  // of a block: 3 D^2 qkv, D^2 projection, D F in and out of the MLP
  return static_cast<double>(config_.num_layers) * (2 * tokens * weights + 2 * pairs * D);
}

std::shared_ptr<Gpt2> make_gpt2(const Gpt2Config& config, uint64_t seed, BackboneOptions options) {
  Gpt2::Parameters parameters;
  for (const auto& [name, shape] : gpt2_parameter_shapes(config)) {
    const at::TensorOptions dtype = at::TensorOptions().dtype(options.parameters);
    if (shape.size() == 1) {
      const bool gamma = name.find("ln_") != std::string::npos && name.ends_with(".weight");
      parameters.emplace_back(name, at::full(shape, gamma ? 1.0 : 0.0, dtype));
      continue;
    }
    const double std =
        name.ends_with("c_proj.weight") ? 0.02 / std::sqrt(2.0 * static_cast<double>(config.num_layers)) : 0.02;
    parameters.emplace_back(name, normal_weight(shape, std, seed, parameters.size(), options.parameters));
  }
  return std::make_shared<Gpt2>(config, std::move(parameters), options);
}

}  // namespace cllm
