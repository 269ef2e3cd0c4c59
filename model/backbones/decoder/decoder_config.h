#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "model/backbones/backbone.h"
#include "model/backbones/config_json.h"
#include "model/nn/fused/gated.h"

namespace cllm {

/// Rotary position embedding (Su et al. 2021), halves of a head rotated against each other.
struct Rotation {
  double theta = 1e4;
  /// kLlama3: long waves are slowed down by `factor`, short ones not (Llama 3.1). kLinear: all by `factor`.
  enum class Scaling { kNone, kLinear, kLlama3 } scaling = Scaling::kNone;
  double factor = 1, low_frequency = 1, high_frequency = 4;
  double original_positions = 8192;

  bool operator==(const Rotation&) const = default;
  /// Radians per position of each pair of a head of `width` columns: [width / 2].
  std::vector<double> frequencies(int64_t width) const;
};

/// Sizes and switches of a decoder of the Llama kind: what of Hugging Face's config.json changes the mathematics.
struct DecoderConfig {
  std::string model_type;
  int64_t width = 0, num_layers = 0, num_heads = 0, num_kv_heads = 0, head_width = 0, inner_width = 0;
  int64_t num_words = 0, max_positions = 0;
  double epsilon = 1e-6;
  bool tied = false;          // the text head is the word embedding
  bool qkv_bias = false;      // Qwen2
  bool qk_norm = false;       // Qwen3, Gemma 3: norm of every head's queries and keys before they are rotated
  bool norm_offset = false;   // Gemma: norms multiply by 1 + w
  bool post_norms = false;    // Gemma 3: norms behind attention and MLP, before they are added
  bool scaled_input = false;  // Gemma: rows are multiplied by sqrt(D) on the way in
  Gate gate = Gate::kSilu;
  double attention_scale = 0;    // of q k
  std::vector<int64_t> windows;  // of each layer: how many keys a query sees, itself included; 0: all
  std::vector<size_t> rotation;  // of each layer: which of `rotations`
  std::vector<Rotation> rotations;
  nlohmann::json source;  // config.json as it was read

  int64_t inner_heads() const { return num_heads * head_width; }
  int64_t inner_kv() const { return num_kv_heads * head_width; }
};

/// Of model_type llama, mistral, qwen2, qwen3 and gemma3_text; ModelError names the file, the key, the value and what
/// is known.
DecoderConfig decoder_config(const ConfigJson& file);

BackboneShape shape_of(const DecoderConfig& config);

}  // namespace cllm
