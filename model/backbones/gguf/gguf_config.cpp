// Keys: llama.cpp's gguf-py/gguf/constants.py.

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <numbers>

#include "data/errors.h"
#include "data/gguf.h"
#include "model/backbones/gguf/blocks.h"
#include "model/backbones/gguf/gguf_model.h"
#include "model/errors.h"

namespace cllm {
namespace {

using nlohmann::json;

int64_t rows_of(const GgufFile& file, const char* tensor) {
  const auto found = file.tensors().find(tensor);
  if (found == file.tensors().end() || found->second.shape.size() != 2)
    file.refuse("tensor '" + std::string(tensor) + "' is missing, or no matrix");
  return found->second.shape[0];
}

/// Keys of one architecture.
class Keys {
 public:
  Keys(const GgufFile& file, std::string architecture) : file_(file), prefix_(std::move(architecture) + ".") {}

  int64_t count(const char* key) const {
    const int64_t value = file_.count(prefix_ + key, 0);
    if (value <= 0) file_.refuse(prefix_ + key + " is missing, or not above 0");
    return value;
  }
  int64_t count(const char* key, int64_t otherwise) const { return file_.count(prefix_ + key, otherwise); }
  double number(const char* key, double otherwise) const { return file_.number(prefix_ + key, otherwise); }
  std::string text(const char* key, const std::string& otherwise) const { return file_.text(prefix_ + key, otherwise); }
  bool has(const char* key) const { return file_.has(prefix_ + key); }

 private:
  const GgufFile& file_;
  std::string prefix_;
};

/// Divisors of the frequencies that a file of Llama 3.1 and later brings: those of rope_scaling llama3 with the
/// published corners, and the largest is its factor.
json llama3_scaling(const GgufFile& file, int64_t head_width, double theta) {
  const GgufFile::TensorInfo& info = file.tensors().at("rope_freqs.weight");
  const int64_t pairs = head_width / 2;
  if (info.shape != std::vector<int64_t>{pairs} || info.type != 0)
    file.refuse("rope_freqs.weight is not " + std::to_string(pairs) + " numbers of type F32");
  std::vector<float> divisors(static_cast<size_t>(pairs));
  const std::string_view bytes = file.bytes(info.offset, divisors.size() * sizeof(float), "rope_freqs.weight");
  for (size_t m = 0; m < divisors.size(); ++m)
    ggml_type(0)->unpack(reinterpret_cast<const uint8_t*>(bytes.data()) + m * sizeof(float), &divisors[m]);
  constexpr double kLow = 1, kHigh = 4, kOriginal = 8192;
  const double factor = *std::max_element(divisors.begin(), divisors.end());
  for (size_t m = 0; m < divisors.size(); ++m) {
    const double wave =
        2 * std::numbers::pi * std::pow(theta, 2 * static_cast<double>(m) / static_cast<double>(head_width));
    const double share = std::clamp((kOriginal / wave - kLow) / (kHigh - kLow), 0.0, 1.0);
    const double expected = 1 / ((1 - share) / factor + share);
    if (!(std::abs(divisors[m] - expected) < 1e-3 * expected))
      file.refuse(
          "rope_freqs.weight is not that of rope_scaling llama3 with low_freq_factor 1, high_freq_factor 4 and "
          "original_max_position_embeddings 8192");
  }
  return {{"rope_type", "llama3"},
          {"factor", factor},
          {"low_freq_factor", kLow},
          {"high_freq_factor", kHigh},
          {"original_max_position_embeddings", 8192}};
}

void add_rotation(const GgufFile& file, const Keys& keys, json& config) {
  const double theta = keys.number("rope.freq_base", 10000);
  config["rope_theta"] = theta;
  const std::string scaling = keys.text("rope.scaling.type", "none");
  if (file.tensors().contains("rope_freqs.weight")) {
    config["rope_scaling"] = llama3_scaling(file, config["head_dim"].get<int64_t>(), theta);
  } else if (scaling == "linear") {
    config["rope_scaling"] = {{"rope_type", "linear"}, {"factor", keys.number("rope.scaling.factor", 1)}};
  } else if (scaling != "none") {
    file.refuse("rope.scaling.type is '" + scaling + "'; known are none and linear");
  }
}

void add_gemma(const Keys& keys, json& config) {
  config["hidden_activation"] = "gelu_pytorch_tanh";
  config["sliding_window"] = keys.count("attention.sliding_window");
  config["rope_local_base_freq"] = keys.number("rope.freq_base_swa", 10000);
  if (!keys.has("rope.freq_base")) config["rope_theta"] = 1e6;
  // 27B alone scales by D / H (llama.cpp's src/models/gemma3.cpp knows it by its layers, too)
  const bool largest = config["num_hidden_layers"] == 62;
  config["query_pre_attn_scalar"] =
      largest ? config["hidden_size"].get<int64_t>() / config["num_attention_heads"].get<int64_t>()
              : config["head_dim"].get<int64_t>();
}

json decoder_json(const GgufFile& file, const Keys& keys, const std::string& model_type, const char* architecture) {
  const bool gemma = model_type == "gemma3_text";
  json config = {{"architectures", {architecture}},
                 {"model_type", model_type},
                 {"hidden_size", keys.count("embedding_length")},
                 {"num_hidden_layers", keys.count("block_count")},
                 {"num_attention_heads", keys.count("attention.head_count")},
                 {"intermediate_size", keys.count("feed_forward_length")},
                 {"max_position_embeddings", keys.count("context_length")},
                 {"rms_norm_eps", keys.number("attention.layer_norm_rms_epsilon", 1e-6)},
                 {"vocab_size", rows_of(file, "token_embd.weight")},
                 {"tie_word_embeddings", !file.tensors().contains("output.weight")}};
  const int64_t heads = config["num_attention_heads"].get<int64_t>();
  config["num_key_value_heads"] = keys.count("attention.head_count_kv", heads);
  config["head_dim"] = keys.count("attention.key_length", config["hidden_size"].get<int64_t>() / heads);
  if (!gemma) config["hidden_act"] = "silu";
  if (!gemma && keys.has("attention.sliding_window")) config["sliding_window"] = keys.count("attention.sliding_window");
  add_rotation(file, keys, config);
  if (gemma) add_gemma(keys, config);
  for (const char* key : {"bos_token_id", "eos_token_id", "padding_token_id"}) {
    const int64_t id = file.count(std::string("tokenizer.ggml.") + key, -1);
    if (id >= 0) config[std::string(key) == "padding_token_id" ? "pad_token_id" : key] = id;
  }
  return config;
}

json gpt2_json_of(const GgufFile& file, const Keys& keys) {
  return {{"architectures", {"GPT2LMHeadModel"}},
          {"model_type", "gpt2"},
          {"n_embd", keys.count("embedding_length")},
          {"n_layer", keys.count("block_count")},
          {"n_head", keys.count("attention.head_count")},
          {"n_inner", keys.count("feed_forward_length")},
          {"n_positions", keys.count("context_length")},
          {"layer_norm_epsilon", keys.number("attention.layer_norm_epsilon", 1e-5)},
          {"vocab_size", rows_of(file, "token_embd.weight")}};
}

json config_of(const GgufFile& file) {
  const std::string architecture = file.text("general.architecture", "");
  const Keys keys(file, architecture);
  if (architecture == "gpt2") return gpt2_json_of(file, keys);
  if (architecture == "llama")
    return keys.has("attention.sliding_window") ? decoder_json(file, keys, "mistral", "MistralForCausalLM")
                                                : decoder_json(file, keys, "llama", "LlamaForCausalLM");
  if (architecture == "qwen2") return decoder_json(file, keys, "qwen2", "Qwen2ForCausalLM");
  if (architecture == "qwen3") return decoder_json(file, keys, "qwen3", "Qwen3ForCausalLM");
  if (architecture == "gemma3") return decoder_json(file, keys, "gemma3_text", "Gemma3ForCausalLM");
  file.refuse("general.architecture is '" + architecture + "'; known are gpt2, llama, qwen2, qwen3, gemma3");
}

}  // namespace

bool is_gguf(const std::string& path) { return std::filesystem::path(path).extension() == ".gguf"; }

json gguf_config(const std::string& path) {
  try {
    return config_of(GgufFile(path));
  } catch (const DataError& error) {
    throw ModelError(error.what());
  }
}

}  // namespace cllm
