#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "model/backbones/backbone.h"
#include "model/backbones/config_json.h"

namespace cllm {

/// Sizes of a BERT (also MiniLM and other sentence encoders of model_type bert).
struct BertConfig {
  int64_t width = 0, num_layers = 0, num_heads = 0, inner_width = 0, num_words = 0, max_positions = 0, num_types = 2;
  double epsilon = 1e-12;
  nlohmann::json source;  // config.json as it was read
};

/// ModelError names the file, the key, the value and what is known.
BertConfig bert_config(const ConfigJson& file);
BackboneShape shape_of(const BertConfig& config);

/// Names and shapes [out, in] of the parameters in Hugging Face layout, without the `bert.` prefix. The word embedding
/// is the first. Those of the pooler, the last two, may be missing in files.
std::vector<std::pair<std::string, std::vector<int64_t>>> bert_parameter_shapes(const BertConfig& config);

}  // namespace cllm
