#pragma once

#include <cstdint>
#include <string>

#include "model/backbones/backbone.h"
#include "model/backbones/config_json.h"
#include "model/nn/gelu.h"

namespace cllm {

/// Sizes of a GPT-2 model: the part of Hugging Face's config.json that changes the mathematics.
struct Gpt2Config {
  int64_t num_layers = 12, num_heads = 12, width = 768, max_positions = 1024, num_words = 50257;
  int64_t inner_width = 0;  // of the MLP; 0: 4 * width
  double layer_norm_epsilon = 1e-5;
  Activation activation = Activation::kGeluTanh;
  double dropout_embedding = 0.1, dropout_attention = 0.1, dropout_residual = 0.1;  // what the model was trained with

  int64_t mlp_width() const { return inner_width > 0 ? inner_width : 4 * width; }
};

/// The sizes in a config.json, checked; ModelError names the file, the key, the value and what is known.
Gpt2Config gpt2_config(const ConfigJson& file);
/// The same of `<dir>/config.json`.
Gpt2Config read_gpt2_config(const std::string& dir);

BackboneShape shape_of(const Gpt2Config& config);

/// Text of a config.json that transformers loads as GPT2LMHeadModel.
std::string gpt2_config_json(const Gpt2Config& config);

}  // namespace cllm
