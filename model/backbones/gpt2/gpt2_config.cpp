#include "model/backbones/gpt2/gpt2_config.h"

#include <fstream>
#include <nlohmann/json.hpp>

#include "model/errors.h"

namespace cllm {
namespace {

using Json = nlohmann::json;

constexpr int kMaxJsonDepth = 64;  // printing a value for a message recurses
// Far above every model, and small enough that no product of two sizes overflows.
constexpr int64_t kMaxLayers = 10'000, kMaxSize = (int64_t{1} << 31) - 1;

/// One config.json with checked access to its keys.
class ConfigFile {
 public:
  explicit ConfigFile(std::string path) : path_(std::move(path)) {
    std::ifstream file(path_);
    if (!file) throw ModelError(path_ + ": cannot open; a backbone folder holds config.json and model.safetensors");
    try {
      json_ = Json::parse(file, [&](int depth, Json::parse_event_t, Json&) {
        if (depth > kMaxJsonDepth) throw ModelError(path_ + ": nested too deeply for a model's config.json");
        return true;
      });
    } catch (const Json::exception& error) {
      throw ModelError(path_ + ": not valid JSON (" + error.what() + ")");
    }
    if (!json_.is_object()) throw ModelError(path_ + ": not a JSON object");
  }

  bool given(const char* key) const { return json_.contains(key) && !json_[key].is_null(); }
  [[noreturn]] void refuse(const char* key, const std::string& expected) const {
    throw ModelError(path_ + ": " + key + " is " + (json_.contains(key) ? json_[key].dump() : "missing") +
                     ", expected " + expected);
  }
  int64_t count(const char* key, int64_t max = kMaxSize) const {
    const bool good = given(key) && json_[key].is_number_integer() && json_[key].get<int64_t>() >= 1 &&
                      json_[key].get<int64_t>() <= max;
    if (!good) refuse(key, "a whole number from 1 to " + std::to_string(max));
    return json_[key].get<int64_t>();
  }
  double number(const char* key, double low, double high, double otherwise) const {
    if (!given(key)) return otherwise;
    if (!json_[key].is_number() || json_[key].get<double>() < low || json_[key].get<double>() >= high) {
      refuse(key, "a number in [" + std::to_string(low) + ", " + std::to_string(high) + ")");
    }
    return json_[key].get<double>();
  }
  std::string text(const char* key, const std::string& otherwise) const {
    if (!given(key)) return otherwise;
    if (!json_[key].is_string()) refuse(key, "a string");
    return json_[key].get<std::string>();
  }
  /// A switch that would change the mathematics in a way that is not written here.
  void expect_flag(const char* key, bool value) const {
    if (given(key) && json_[key] != value) refuse(key, value ? "true" : "false");
  }

 private:
  std::string path_;
  Json json_;
};

}  // namespace

Gpt2Config read_gpt2_config(const std::string& dir) {
  const ConfigFile file(dir + "/config.json");
  if (file.text("model_type", "") != "gpt2") file.refuse("model_type", "\"gpt2\" (the known model types: gpt2)");
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
