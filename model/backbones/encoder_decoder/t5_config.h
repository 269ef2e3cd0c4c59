#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "model/backbones/backbone.h"
#include "model/backbones/config_json.h"

namespace cllm {

/// Sizes and switches of T5 1.0, 1.1 and FLAN-T5.
struct T5Config {
  int64_t width = 0, num_heads = 0, head_width = 0, inner_width = 0, num_words = 0, max_positions = 0;
  int64_t encoder_layers = 0, decoder_layers = 0;
  int64_t buckets = 32, max_distance = 128;  // of relative positions
  int64_t start_word = 0;                    // what a decoder reads first
  double epsilon = 1e-6, dropout = 0;
  bool gated = false;     // 1.1 and FLAN: GELU of one product times another; 1.0: ReLU
  bool tied = true;       // the text head is the word embedding
  bool scaled = true;     // states are divided by sqrt(D) before the head; of 1.0
  nlohmann::json source;  // config.json as it was read

  int64_t inner_heads() const { return num_heads * head_width; }
};

/// Of model_type t5; ModelError names the file, the key, the value and what is known. Positions: n_positions, or 512,
/// what T5 was trained with: positions are relative, so there is no limit in the weights.
T5Config t5_config(const ConfigJson& file);
BackboneShape shape_of(const T5Config& config);

/// Names and shapes [out, in] of the parameters in Hugging Face layout. The word embedding is the first; an untied
/// head, lm_head.weight, the last.
std::vector<std::pair<std::string, std::vector<int64_t>>> t5_parameter_shapes(const T5Config& config);

/// Bucket of a distance key - query. `both_ways`: an encoder's, where keys may stand behind the query.
int64_t relative_bucket(const T5Config& config, int64_t distance, bool both_ways);

}  // namespace cllm
