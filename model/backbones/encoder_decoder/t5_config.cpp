#include "model/backbones/encoder_decoder/t5_config.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>

namespace cllm {
namespace {

constexpr int64_t kMaxLayers = 10'000;

void read_feed_forward(const ConfigJson& file, T5Config& out) {
  const std::string kind = file.text("feed_forward_proj", "relu");
  if (kind != "relu" && kind != "gated-gelu")
    file.refuse("feed_forward_proj", "relu (T5 1.0) or gated-gelu (1.1, FLAN)");
  out.gated = kind == "gated-gelu";
  out.inner_width = file.count("d_ff");
}

using Shapes = std::vector<std::pair<std::string, std::vector<int64_t>>>;

void add_stack(const T5Config& config, const std::string& stack, int64_t layers, Shapes& shapes) {
  const int64_t D = config.width, F = config.inner_width, Q = config.inner_heads();
  const bool decodes = stack == "decoder";
  for (int64_t layer = 0; layer < layers; ++layer) {
    const std::string block = stack + ".block." + std::to_string(layer) + ".layer.";
    const auto attention = [&](const std::string& of) {
      for (const char* matrix : {"q", "k", "v"}) shapes.push_back({of + matrix + ".weight", {Q, D}});
      shapes.push_back({of + "o.weight", {D, Q}});
    };
    attention(block + "0.SelfAttention.");
    if (layer == 0)
      shapes.push_back({block + "0.SelfAttention.relative_attention_bias.weight", {config.buckets, config.num_heads}});
    shapes.push_back({block + "0.layer_norm.weight", {D}});
    if (decodes) {
      attention(block + "1.EncDecAttention.");
      shapes.push_back({block + "1.layer_norm.weight", {D}});
    }
    const std::string mlp = block + (decodes ? "2." : "1.");
    for (const char* in : {"wi", "wi_0", "wi_1"}) {
      if (config.gated != (std::string(in) == "wi"))
        shapes.push_back({mlp + "DenseReluDense." + in + ".weight", {F, D}});
    }
    shapes.push_back({mlp + "DenseReluDense.wo.weight", {D, F}});
    shapes.push_back({mlp + "layer_norm.weight", {D}});
  }
  shapes.push_back({stack + ".final_layer_norm.weight", {D}});
}

}  // namespace

T5Config t5_config(const ConfigJson& file) {
  T5Config out;
  out.width = file.count("d_model");
  out.num_heads = file.count("num_heads");
  out.head_width = file.count("d_kv");
  out.encoder_layers = file.count("num_layers", kMaxLayers);
  out.decoder_layers =
      file.given("num_decoder_layers") ? file.count("num_decoder_layers", kMaxLayers) : out.encoder_layers;
  out.num_words = file.count("vocab_size");
  constexpr int64_t kTrained = 512;
  out.max_positions = file.given("n_positions") ? file.count("n_positions") : kTrained;
  if (file.given("relative_attention_num_buckets")) out.buckets = file.count("relative_attention_num_buckets", 1 << 16);
  if (file.given("relative_attention_max_distance")) out.max_distance = file.count("relative_attention_max_distance");
  if (out.buckets % 4 != 0) file.refuse("relative_attention_num_buckets", "a multiple of 4");
  if (out.max_distance <= out.buckets / 2)
    file.refuse("relative_attention_max_distance", "more than half of relative_attention_num_buckets");
  out.start_word =
      static_cast<int64_t>(file.number("decoder_start_token_id", 0, static_cast<double>(out.num_words), 0));
  out.epsilon = file.number("layer_norm_epsilon", 0, 1, 1e-6);
  out.dropout = file.number("dropout_rate", 0, 1, 0.1);
  out.tied = !file.given("tie_word_embeddings") || file.json()["tie_word_embeddings"] == true;
  // transformers 5 writes tie_word_embeddings true for every T5, and this for what it meant.
  out.scaled = file.given("scale_decoder_outputs") ? file.json()["scale_decoder_outputs"] == true : out.tied;
  read_feed_forward(file, out);
  out.source = file.json();
  return out;
}

BackboneShape shape_of(const T5Config& config) {
  return {.width = config.width,
          .num_layers = config.encoder_layers + config.decoder_layers,
          .num_words = config.num_words,
          .max_positions = config.max_positions,
          .dropout_embedding = config.dropout,
          .dropout_residual = config.dropout,
          .start_word = static_cast<int32_t>(config.start_word)};
}

std::vector<std::pair<std::string, std::vector<int64_t>>> t5_parameter_shapes(const T5Config& config) {
  Shapes shapes{{"shared.weight", {config.num_words, config.width}}};
  add_stack(config, "encoder", config.encoder_layers, shapes);
  add_stack(config, "decoder", config.decoder_layers, shapes);
  if (!config.tied) shapes.push_back({"lm_head.weight", {config.num_words, config.width}});
  return shapes;
}

/// BACKBONES.md §8: half of the buckets are exact distances, the others grow by a power.
int64_t relative_bucket(const T5Config& config, int64_t distance, bool both_ways) {
  const int64_t n = both_ways ? config.buckets / 2 : config.buckets, exact = n / 2;
  const int64_t first = both_ways && distance > 0 ? n : 0;
  const int64_t d = both_ways ? std::abs(distance) : std::max<int64_t>(-distance, 0);
  if (d < exact) return first + d;
  const float share =
      std::log(static_cast<float>(d) / static_cast<float>(exact)) /
      static_cast<float>(std::log(static_cast<double>(config.max_distance) / static_cast<double>(exact)));
  return first + std::min(n - 1, exact + static_cast<int64_t>(share * static_cast<float>(n - exact)));
}

}  // namespace cllm
