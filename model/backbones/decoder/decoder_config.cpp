#include "model/backbones/decoder/decoder_config.h"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace cllm {
namespace {

using Json = nlohmann::json;

constexpr int64_t kMaxLayers = 10'000;

/// A number of a nested object of config.json that must be positive.
double positive(const ConfigJson& file, const char* owner, const Json& object, const char* key, double otherwise) {
  if (!object.contains(key) || object[key].is_null()) return otherwise;
  if (!object[key].is_number() || !(object[key].get<double>() > 0))
    file.refuse(owner, std::string("an object whose ") + key + " is a number above 0");
  return object[key].get<double>();
}

/// `object`: rope_scaling, or rope_parameters, which has the base too.
Rotation rotation_of(const ConfigJson& file, const char* owner, const Json& object, double theta) {
  Rotation out{.theta = positive(file, owner, object, "rope_theta", theta)};
  const std::string kind = object.contains("rope_type") ? object["rope_type"].get<std::string>()
                                                        : object.value("type", std::string("default"));
  if (kind == "default") return out;
  if (kind != "linear" && kind != "llama3") file.refuse(owner, "rope_type default, linear or llama3");
  out.scaling = kind == "linear" ? Rotation::Scaling::kLinear : Rotation::Scaling::kLlama3;
  out.factor = positive(file, owner, object, "factor", 1);
  out.low_frequency = positive(file, owner, object, "low_freq_factor", 1);
  out.high_frequency = positive(file, owner, object, "high_freq_factor", 4);
  out.original_positions = positive(file, owner, object, "original_max_position_embeddings", 8192);
  return out;
}

/// One rotation for all layers; both spellings.
Rotation only_rotation(const ConfigJson& file) {
  const double theta = file.number("rope_theta", 1, 1e12, 1e4);
  const Json none = Json::object();
  const bool scaled = file.given("rope_scaling");
  Rotation old = rotation_of(file, "rope_scaling", scaled ? file.json()["rope_scaling"] : none, theta);
  if (!file.given("rope_parameters")) return old;
  const Rotation out = rotation_of(file, "rope_parameters", file.json()["rope_parameters"], theta);
  old.theta = out.theta;
  if (scaled && out != old) file.refuse("rope_scaling", "the same as rope_parameters; take one of them out");
  return out;
}

void read_sizes(const ConfigJson& file, DecoderConfig& out) {
  out.width = file.count("hidden_size");
  out.num_layers = file.count("num_hidden_layers", kMaxLayers);
  out.num_heads = file.count("num_attention_heads");
  out.num_kv_heads = file.given("num_key_value_heads") ? file.count("num_key_value_heads") : out.num_heads;
  if (out.num_heads % out.num_kv_heads != 0)
    file.refuse("num_key_value_heads", "a divisor of num_attention_heads = " + std::to_string(out.num_heads));
  if (!file.given("head_dim") && out.width % out.num_heads != 0)
    file.refuse("num_attention_heads", "a divisor of hidden_size = " + std::to_string(out.width) + ", or a head_dim");
  out.head_width = file.given("head_dim") ? file.count("head_dim") : out.width / out.num_heads;
  if (out.head_width % 2 != 0) file.refuse("head_dim", "an even number: its halves are rotated against each other");
  out.inner_width = file.count("intermediate_size");
  out.num_words = file.count("vocab_size");
  out.max_positions = file.count("max_position_embeddings");
  out.epsilon = file.number("rms_norm_eps", 0, 1, 1e-6);
}

/// Gemma 3: layers of a window with a rotation of their own, every sixth without.
void read_gemma_layers(const ConfigJson& file, DecoderConfig& out) {
  const Json& json = file.json();
  const int64_t window = file.count("sliding_window");
  const int64_t pattern = file.given("sliding_window_pattern") ? file.count("sliding_window_pattern") : 6;
  if (file.given("layer_types") && json["layer_types"].size() != static_cast<size_t>(out.num_layers))
    file.refuse("layer_types", "an entry for each of " + std::to_string(out.num_layers) + " layers");
  for (int64_t layer = 0; layer < out.num_layers; ++layer) {
    bool full = (layer + 1) % pattern == 0;
    if (file.given("layer_types")) {
      const Json& type = json["layer_types"][static_cast<size_t>(layer)];
      if (type != "full_attention" && type != "sliding_attention")
        file.refuse("layer_types", "a list of full_attention and sliding_attention");
      full = type == "full_attention";
    }
    out.windows.push_back(full ? 0 : window);
    out.rotation.push_back(full ? 0 : 1);
  }
  if (file.given("rope_parameters") && json["rope_parameters"].contains("full_attention")) {
    for (const char* type : {"full_attention", "sliding_attention"})
      out.rotations.push_back(rotation_of(file, "rope_parameters", json["rope_parameters"].value(type, Json::object()),
                                          std::string_view(type) == "full_attention" ? 1e6 : 1e4));
    return;
  }
  Rotation full = only_rotation(file);
  if (!file.given("rope_theta") && !file.given("rope_parameters")) full.theta = 1e6;
  out.rotations = {full, {.theta = file.number("rope_local_base_freq", 1, 1e12, 1e4)}};
}

void read_gemma(const ConfigJson& file, DecoderConfig& out) {
  if (file.given("attn_logit_softcapping")) file.refuse("attn_logit_softcapping", "null");
  if (file.given("final_logit_softcapping")) file.refuse("final_logit_softcapping", "null");
  file.expect_flag("use_bidirectional_attention", false);
  out.qk_norm = out.norm_offset = out.post_norms = out.scaled_input = true;
  out.gate = Gate::kGeluTanh;
  out.attention_scale = 1 / std::sqrt(file.number("query_pre_attn_scalar", 1e-6, 1e9, 256));
  read_gemma_layers(file, out);
}

}  // namespace

std::vector<double> Rotation::frequencies(int64_t width) const {
  std::vector<double> out;
  for (int64_t pair = 0; pair < width / 2; ++pair) {
    const double plain = std::pow(theta, -2.0 * static_cast<double>(pair) / static_cast<double>(width));
    double slowed = plain;
    if (scaling == Scaling::kLinear) slowed = plain / factor;
    if (scaling == Scaling::kLlama3) {
      const double wave = 2 * std::numbers::pi / plain;
      const double share = std::clamp((original_positions / wave - low_frequency) / (high_frequency - low_frequency),
                                      0.0, 1.0);  // of the plain one
      slowed = (1 - share) * plain / factor + share * plain;
    }
    out.push_back(slowed);
  }
  return out;
}

DecoderConfig decoder_config(const ConfigJson& file) {
  DecoderConfig out;
  out.model_type = file.text("model_type", "");
  out.source = file.json();
  const bool gemma = out.model_type == "gemma3_text";
  read_sizes(file, out);
  file.expect_flag("attention_bias", false);
  file.expect_flag("mlp_bias", false);
  file.expect_flag("use_sliding_window", false);
  out.tied = file.given("tie_word_embeddings") ? file.json()["tie_word_embeddings"] == true : gemma;
  const char* const gate_key = gemma ? "hidden_activation" : "hidden_act";
  const std::string gate = file.text(gate_key, gemma ? "gelu_pytorch_tanh" : "silu");
  if (gate != (gemma ? "gelu_pytorch_tanh" : "silu")) file.refuse(gate_key, gemma ? "gelu_pytorch_tanh" : "silu");
  if (gemma) {
    read_gemma(file, out);
    return out;
  }
  out.qkv_bias = out.model_type == "qwen2";
  out.qk_norm = out.model_type == "qwen3";
  out.attention_scale = 1 / std::sqrt(static_cast<double>(out.head_width));
  const bool window = out.model_type == "mistral" && file.given("sliding_window");
  out.windows.assign(static_cast<size_t>(out.num_layers), window ? file.count("sliding_window") : 0);
  out.rotation.assign(static_cast<size_t>(out.num_layers), 0);
  out.rotations = {only_rotation(file)};
  return out;
}

BackboneShape shape_of(const DecoderConfig& config) {
  return {.width = config.width,
          .num_layers = config.num_layers,
          .num_words = config.num_words,
          .max_positions = config.max_positions};
}

}  // namespace cllm
