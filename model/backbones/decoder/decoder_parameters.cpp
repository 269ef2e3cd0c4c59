#include <ATen/ops/full.h>

#include "model/backbones/decoder/decoder.h"
#include "model/backbones/start_weight.h"

namespace cllm {

std::vector<std::pair<std::string, std::vector<int64_t>>> decoder_parameter_shapes(const DecoderConfig& config) {
  const int64_t D = config.width, F = config.inner_width, Q = config.inner_heads(), K = config.inner_kv();
  std::vector<std::pair<std::string, std::vector<int64_t>>> shapes{{"embed_tokens.weight", {config.num_words, D}}};
  for (int64_t layer = 0; layer < config.num_layers; ++layer) {
    const std::string of = "layers." + std::to_string(layer) + ".", attention = of + "self_attn.";
    shapes.push_back({of + "input_layernorm.weight", {D}});
    shapes.push_back({of + "post_attention_layernorm.weight", {D}});
    if (config.post_norms) {
      shapes.push_back({of + "pre_feedforward_layernorm.weight", {D}});
      shapes.push_back({of + "post_feedforward_layernorm.weight", {D}});
    }
    shapes.insert(shapes.end(), {{attention + "q_proj.weight", {Q, D}},
                                 {attention + "k_proj.weight", {K, D}},
                                 {attention + "v_proj.weight", {K, D}},
                                 {attention + "o_proj.weight", {D, Q}},
                                 {of + "mlp.gate_proj.weight", {F, D}},
                                 {of + "mlp.up_proj.weight", {F, D}},
                                 {of + "mlp.down_proj.weight", {D, F}}});
    if (config.qkv_bias) {
      shapes.insert(
          shapes.end(),
          {{attention + "q_proj.bias", {Q}}, {attention + "k_proj.bias", {K}}, {attention + "v_proj.bias", {K}}});
    }
    if (config.qk_norm) {
      shapes.push_back({attention + "q_norm.weight", {config.head_width}});
      shapes.push_back({attention + "k_norm.weight", {config.head_width}});
    }
  }
  shapes.push_back({"norm.weight", {D}});
  if (!config.tied) shapes.push_back({"lm_head.weight", {config.num_words, D}});
  return shapes;
}

std::shared_ptr<Decoder> make_decoder(const DecoderConfig& config, uint64_t seed, BackboneOptions options) {
  Decoder::Parameters parameters;
  for (const auto& [name, shape] : decoder_parameter_shapes(config)) {
    const at::TensorOptions dtype = at::TensorOptions().dtype(options.parameters);
    if (shape.size() == 1) {
      const bool zero = config.norm_offset || name.ends_with(".bias");
      parameters.emplace_back(name, at::full(shape, zero ? 0.0 : 1.0, dtype));
      continue;
    }
    parameters.emplace_back(name, normal_weight(shape, 0.02, seed, parameters.size(), options.parameters));
  }
  return std::make_shared<Decoder>(config, std::move(parameters), options);
}

}  // namespace cllm
