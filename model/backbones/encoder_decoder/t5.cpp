#include "model/backbones/encoder_decoder/t5.h"

// Letters: T tokens, D width, H heads, h head width, n queries and m keys of a sequence.

#include <ATen/TensorOperators.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/full.h>
#include <ATen/ops/index_select.h>
#include <ATen/ops/relu.h>
#include <ATen/ops/tensor.h>

#include <algorithm>
#include <cmath>
#include <map>

#include "model/backbones/encoder_decoder/decoder_tokens.h"
#include "model/backbones/projection.h"
#include "model/errors.h"
#include "model/kernels/compute_dtype.h"
#include "model/nn/dropout.h"
#include "model/nn/fused/gated.h"
#include "model/nn/fused/rms_norm.h"
#include "model/nn/recompute.h"

namespace cllm {
namespace {

/// Places of a layer where dropout acts; part of its salt. Layers of the decoder follow those of the encoder.
enum Place : uint64_t { kEmbedding, kAfterAttention, kAfterCrossAttention, kAfterMlp, kEnd };

DropoutSite site(const at::Tensor& keys, double rate, int64_t layer, Place place) {
  return {keys, rate, static_cast<uint64_t>(layer) * 8 + place};
}

}  // namespace

struct T5::Attention {
  at::Tensor norm;
  Projection query, key, value, out;
};

struct T5::Block {
  Attention self, cross;  // cross: of a decoder
  at::Tensor mlp_norm;
  Projection in, gate, out;  // gate: of a gated MLP
};

struct T5::Stack {
  bool decodes = false;
  int64_t first_layer = 0;  // of all the model's
  std::vector<Block> blocks = {};
  at::Tensor relative_bias = {};  // [buckets, H]
  at::Tensor final_norm = {};
};

/// What the blocks of one pass of a stack share.
struct T5::Pass {
  PackedLayout layout, of_memory;  // of_memory: of a decoder
  Dropout dropout;
  at::Tensor bias_Hnn;  // of the longest sequence, with the causal mask of a decoder
};

T5::T5(T5Config config, Parameters parameters, BackboneOptions options)
    : config_(std::move(config)), options_(options), parameters_(std::move(parameters)),
      adapters_(options.adapters, {"", {"q", "v"}}, options.parameters, options.device) {
  for (auto& [name, parameter] : parameters_) parameter = parameter.to(options.device);
  encoder_ = std::make_unique<Stack>(stack("encoder", config_.encoder_layers));
  decoder_ = std::make_unique<Stack>(stack("decoder", config_.decoder_layers));
  adapters_.check();
  text_head_ = text_head_parameter().to(options.compute);
}

T5::~T5() = default;

T5::Stack T5::stack(const std::string& name, int64_t layers) {
  const auto find = [&](const std::string& of) {
    return std::ranges::find(parameters_, of, &std::pair<std::string, at::Tensor>::first)->second;
  };
  Stack out{.decodes = name == "decoder", .first_layer = name == "decoder" ? config_.encoder_layers : 0};
  for (int64_t layer = 0; layer < layers; ++layer) {
    const std::string block = name + ".block." + std::to_string(layer) + ".layer.";
    const auto projection = [&](const std::string& of) {
      const at::Tensor weight = find(of + ".weight");
      Adapter adapter = adapters_.of(of + ".weight", layer, weight.size(1), weight.size(0));
      return Projection(weight, {}, std::move(adapter), options_.compute);
    };
    const auto attention = [&](const std::string& sub, const std::string& kind) {
      const std::string of = block + sub + "." + kind + ".";
      return Attention{find(block + sub + ".layer_norm.weight"), projection(of + "q"), projection(of + "k"),
                       projection(of + "v"), projection(of + "o")};
    };
    const std::string sub = out.decodes ? "2" : "1", mlp = block + sub + ".DenseReluDense.";
    out.blocks.push_back({.self = attention("0", "SelfAttention"),
                          .cross = out.decodes ? attention("1", "EncDecAttention") : Attention{},
                          .mlp_norm = find(block + sub + ".layer_norm.weight"),
                          .in = projection(mlp + (config_.gated ? "wi_1" : "wi")),
                          .gate = config_.gated ? projection(mlp + "wi_0") : Projection(),
                          .out = projection(mlp + "wo")});
  }
  out.relative_bias = find(name + ".block.0.layer.0.SelfAttention.relative_attention_bias.weight");
  out.final_norm = find(name + ".final_layer_norm.weight");
  return out;
}

/// Of the tokens of n to those of `memory`, or (undefined) to those of their own sequence.
at::Tensor T5::attend(const Attention& attention, const at::Tensor& n, const at::Tensor& memory, const Pass& pass,
                      const at::Tensor& bias) const {
  const at::Tensor& from = memory.defined() ? memory : n;
  const PackedLayout& of_keys = memory.defined() ? pass.of_memory : pass.layout;
  const double rate = pass.dropout.adapters;
  const auto heads = [&](const Projection& projection, const at::Tensor& of, const at::Tensor& keys) {
    return projection(of, keys, rate).view({of.size(0), config_.num_heads, config_.head_width}).transpose(0, 1);
  };
  const at::Tensor q_HTh = heads(attention.query, n, pass.layout.dropout_keys_T),
                   k_HTh = heads(attention.key, from, of_keys.dropout_keys_T),
                   v_HTh = heads(attention.value, from, of_keys.dropout_keys_T);
  std::vector<at::Tensor> parts;
  for (size_t b = 0; b + 1 < pass.layout.offsets.size(); ++b) {
    const int64_t count = pass.layout.offsets[b + 1] - pass.layout.offsets[b];
    const auto of_keys_in = [&](const at::Tensor& x) {
      return x.narrow(1, of_keys.offsets[b], of_keys.offsets[b + 1] - of_keys.offsets[b]);
    };
    const at::Tensor out_Hnh =
        biased_attention(q_HTh.narrow(1, pass.layout.offsets[b], count), of_keys_in(k_HTh), of_keys_in(v_HTh),
                         bias.defined() ? bias.narrow(1, 0, count).narrow(2, 0, count) : bias, /*scale=*/1);
    parts.push_back(out_Hnh.transpose(0, 1).reshape({count, config_.inner_heads()}));
  }
  return attention.out(at::cat(parts), pass.layout.dropout_keys_T, rate);
}

at::Tensor T5::run_block(const Stack& stack, int64_t layer, const at::Tensor& x, const at::Tensor& memory,
                         const Pass& pass) const {
  const Block& block = stack.blocks[static_cast<size_t>(layer)];
  const at::ScalarType sums = residual_dtype(options_.compute);
  const at::Tensor& keys = pass.layout.dropout_keys_T;
  const double rate = pass.dropout.adapters;
  const auto normed = [&](const at::Tensor& of, const at::Tensor& norm) {
    return rms_norm(of, {norm, config_.epsilon}, options_.compute);
  };
  const auto add = [&](const at::Tensor& to, const at::Tensor& out, Place place) {
    return to + dropout(out.to(sums), site(keys, pass.dropout.residual, stack.first_layer + layer, place));
  };
  at::Tensor y = add(x, attend(block.self, normed(x, block.self.norm), {}, pass, pass.bias_Hnn), kAfterAttention);
  if (stack.decodes)
    y = add(y, attend(block.cross, normed(y, block.cross.norm), memory, pass, {}), kAfterCrossAttention);
  const at::Tensor m = normed(y, block.mlp_norm);
  const at::Tensor inner = config_.gated ? gated(block.gate(m, keys, rate), block.in(m, keys, rate), Gate::kGeluTanh)
                                         : at::relu(block.in(m, keys, rate));
  return add(y, block.out(inner, keys, rate), kAfterMlp);
}

/// The residual stream behind `layers` blocks; behind all of them with the final norm.
at::Tensor T5::run_stack(const Stack& stack, int64_t layers, const at::Tensor& x_TD, const at::Tensor& memory,
                         Pass shared) const {
  const PackedLayout& layout = shared.layout;
  const at::ScalarType sums = residual_dtype(options_.compute);
  if (shared.dropout.attention > 0)
    throw ModelError("a backbone of model_type t5 has no dropout of attention weights: set dropout.attention = 0");
  const at::Tensor buckets_nn = relative_buckets(config_, layout.longest, !stack.decodes).to(x_TD.device());
  shared.bias_Hnn = stack.relative_bias.index_select(0, buckets_nn.flatten())
                        .view({layout.longest, layout.longest, config_.num_heads})
                        .permute({2, 0, 1})
                        .to(sums);
  if (stack.decodes) {
    const at::Tensor closed = at::full({layout.longest, layout.longest}, -INFINITY, shared.bias_Hnn.options()).triu(1);
    shared.bias_Hnn = shared.bias_Hnn + closed;
  }
  const auto pass = std::make_shared<const Pass>(std::move(shared));  // backward may need it again
  at::Tensor x =
      dropout(x_TD.to(sums), site(pass->layout.dropout_keys_T, pass->dropout.embedding, stack.first_layer, kEmbedding));
  at::Tensor beside = memory.defined() ? memory : x.narrow(0, 0, 0);
  for (int64_t layer = 0; layer < layers; ++layer) {
    const auto block = [this, &stack, layer, pass](const at::Tensor& in, const at::Tensor& of) {
      return std::pair(run_block(stack, layer, in, of, *pass), of);
    };
    std::tie(x, beside) = options_.recompute ? recomputed(block, x, beside) : block(x, beside);
  }
  if (layers < std::ssize(stack.blocks)) return x;
  const at::Tensor n = rms_norm(x, {stack.final_norm, config_.epsilon}, sums);
  const int64_t last = stack.first_layer + layers - 1;
  return dropout(n, site(pass->layout.dropout_keys_T, pass->dropout.embedding, last, kEnd)).to(options_.compute);
}

at::Tensor T5::encode(const at::Tensor& x_eD, const PackedLayout& layout, const Dropout& dropout) const {
  return run_stack(*encoder_, config_.encoder_layers, x_eD, {}, {layout, {}, dropout, {}});
}

at::Tensor T5::decode(const at::Tensor& x_dD, const PackedLayout& layout, const at::Tensor& memory_eD,
                      const PackedLayout& of_memory, const Dropout& dropout) const {
  return run_stack(*decoder_, config_.decoder_layers, x_dD, memory_eD, {layout, of_memory, dropout, {}});
}

at::Tensor T5::states_after(int64_t layer, const at::Tensor& x_TD, const PackedLayout& layout) const {
  check_length(layout.longest);
  return run_stack(*encoder_, layer, x_TD, {}, {layout, {}, {}, {}});
}

void T5::check_length(int64_t longest) const {
  if (longest <= config_.max_positions) return;
  throw ModelError("a sequence has " + std::to_string(longest) + " tokens, the backbone has " +
                   std::to_string(config_.max_positions) + " positions; cap histories and texts");
}

at::Tensor T5::forward(const at::Tensor& x_TD, const PackedLayout& layout, const Dropout& dropout) const {
  check_length(layout.longest);
  const DecoderTokens split(layout);
  const at::Tensor start_1D = word_embedding().narrow(0, config_.start_word, 1).to(x_TD.scalar_type());
  const at::Tensor memory = encode(x_TD.index_select(0, split.encoder_rows_e), split.encoder, dropout);
  const at::Tensor x_dD = at::cat({x_TD, start_1D}).index_select(0, split.decoder_rows_d);
  const at::Tensor states_dD = decode(x_dD, split.decoder, memory, split.encoder, dropout);
  const at::Tensor out_AD = states_dD.index_select(0, split.outputs_A);
  return config_.scaled ? out_AD * (1 / std::sqrt(static_cast<double>(config_.width))) : out_AD;
}

void T5::set_trainable(bool trainable) {
  if (trainable && !adapters_.empty())
    throw ModelError("a backbone is trained as a whole or beside its adapters: set one of the two");
  if (trainable && options_.compute != options_.parameters)
    throw ModelError("a trainable backbone computes in the dtype of its parameters; set its compute precision to fp32");
  for (auto& [name, parameter] : parameters_) parameter.set_requires_grad(trainable);
}

double T5::flops(double tokens, double pairs) const {
  return flops_of({.prompt_tokens = tokens, .prompt_pairs = pairs});
}

double T5::flops_of(const BatchSizes& batch) const {
  const auto D = static_cast<double>(config_.width), Q = static_cast<double>(config_.inner_heads()),
             F = static_cast<double>(config_.inner_width), e = static_cast<double>(config_.encoder_layers),
             d = static_cast<double>(config_.decoder_layers);
  const double mlp = (config_.gated ? 3 : 2) * D * F;
  const double encoder = 2 * batch.prompt_tokens * (4 * D * Q + mlp) + 4 * batch.prompt_pairs * Q;  // pairs: all
  const double decoder = 2 * batch.main_tokens * (6 * D * Q + mlp) + 2 * batch.prompt_tokens * 2 * D * Q +
                         2 * batch.main_pairs * Q + 4 * batch.pairs_between * Q;
  return e * encoder + d * decoder;
}

}  // namespace cllm
