#include "model/backbones/gpt2/gpt2_config.h"

#include <nlohmann/json.hpp>

namespace cllm {
namespace {

constexpr int64_t kMaxLayers = 10'000;

}  // namespace

Gpt2Config read_gpt2_config(const std::string& dir) { return gpt2_config(ConfigJson(dir)); }

Gpt2Config gpt2_config(const ConfigJson& file) {
  file.expect_flag("scale_attn_weights", true);
  file.expect_flag("scale_attn_by_inverse_layer_idx", false);
  file.expect_flag("add_cross_attention", false);
  file.expect_flag("tie_word_embeddings", true);

  Gpt2Config config;
  config.num_layers = file.count("n_layer", kMaxLayers);
  config.num_heads = file.count("n_head");
  config.width = file.count("n_embd");
  config.max_positions = file.count("n_positions");
  config.num_words = file.count("vocab_size");
  if (file.given("n_inner")) config.inner_width = file.count("n_inner");
  if (config.width % config.num_heads != 0)
    file.refuse("n_head", "a divisor of n_embd = " + std::to_string(config.width));
  config.layer_norm_epsilon = file.number("layer_norm_epsilon", 0, 1, 1e-5);
  config.dropout_embedding = file.number("embd_pdrop", 0, 1, 0.1);
  config.dropout_attention = file.number("attn_pdrop", 0, 1, 0.1);
  config.dropout_residual = file.number("resid_pdrop", 0, 1, 0.1);

  const std::string activation = file.text("activation_function", "gelu_new");
  if (activation == "gelu_new" || activation == "gelu_pytorch_tanh" || activation == "gelu_fast") {
    config.activation = Activation::kGeluTanh;
  } else if (activation == "gelu") {
    config.activation = Activation::kGeluErf;
  } else {
    file.refuse("activation_function", "one of gelu_new, gelu_pytorch_tanh, gelu_fast, gelu");
  }
  return config;
}

BackboneShape shape_of(const Gpt2Config& config) {
  return {.width = config.width,
          .num_layers = config.num_layers,
          .num_words = config.num_words,
          .max_positions = config.max_positions,
          .dropout_embedding = config.dropout_embedding,
          .dropout_attention = config.dropout_attention,
          .dropout_residual = config.dropout_residual};
}

std::string gpt2_config_json(const Gpt2Config& config) {
  nlohmann::ordered_json json = {
      {"architectures", {"GPT2LMHeadModel"}},
      {"model_type", "gpt2"},
      {"activation_function", config.activation == Activation::kGeluTanh ? "gelu_new" : "gelu"},
      {"n_layer", config.num_layers},
      {"n_head", config.num_heads},
      {"n_embd", config.width},
      {"n_inner", nullptr},
      {"n_positions", config.max_positions},
      {"n_ctx", config.max_positions},
      {"vocab_size", config.num_words},
      {"bos_token_id", nullptr},
      {"eos_token_id", nullptr},
      {"layer_norm_epsilon", config.layer_norm_epsilon},
      {"embd_pdrop", config.dropout_embedding},
      {"attn_pdrop", config.dropout_attention},
      {"resid_pdrop", config.dropout_residual},
      {"initializer_range", 0.02},
      {"tie_word_embeddings", true}};
  if (config.inner_width > 0) json["n_inner"] = config.inner_width;
  return json.dump(2) + "\n";
}

}  // namespace cllm
