#include "model/backbones/encoder/bert_config.h"

namespace cllm {

BertConfig bert_config(const ConfigJson& file) {
  constexpr int64_t kMaxLayers = 10'000;
  BertConfig out;
  out.width = file.count("hidden_size");
  out.num_layers = file.count("num_hidden_layers", kMaxLayers);
  out.num_heads = file.count("num_attention_heads");
  if (out.width % out.num_heads != 0)
    file.refuse("num_attention_heads", "a divisor of hidden_size = " + std::to_string(out.width));
  out.inner_width = file.count("intermediate_size");
  out.num_words = file.count("vocab_size");
  out.max_positions = file.count("max_position_embeddings");
  if (file.given("type_vocab_size")) out.num_types = file.count("type_vocab_size");
  out.epsilon = file.number("layer_norm_eps", 0, 1, 1e-12);
  if (file.text("hidden_act", "gelu") != "gelu") file.refuse("hidden_act", "gelu");
  if (file.text("position_embedding_type", "absolute") != "absolute")
    file.refuse("position_embedding_type", "absolute");
  file.expect_flag("is_decoder", false);
  out.source = file.json();
  return out;
}

BackboneShape shape_of(const BertConfig& config) {
  return {.width = config.width,
          .num_layers = config.num_layers,
          .num_words = config.num_words,
          .max_positions = config.max_positions,
          .predicts = false};
}

std::vector<std::pair<std::string, std::vector<int64_t>>> bert_parameter_shapes(const BertConfig& config) {
  const int64_t D = config.width, F = config.inner_width;
  std::vector<std::pair<std::string, std::vector<int64_t>>> shapes{
      {"embeddings.word_embeddings.weight", {config.num_words, D}},
      {"embeddings.position_embeddings.weight", {config.max_positions, D}},
      {"embeddings.token_type_embeddings.weight", {config.num_types, D}}};
  const auto with_bias = [&](const std::string& name, std::vector<int64_t> shape) {
    const int64_t out = shape.front();
    shapes.push_back({name + ".weight", std::move(shape)});
    shapes.push_back({name + ".bias", {out}});
  };
  with_bias("embeddings.LayerNorm", {D});
  for (int64_t layer = 0; layer < config.num_layers; ++layer) {
    const std::string of = "encoder.layer." + std::to_string(layer) + ".";
    for (const char* matrix : {"query", "key", "value"}) with_bias(of + "attention.self." + matrix, {D, D});
    with_bias(of + "attention.output.dense", {D, D});
    with_bias(of + "attention.output.LayerNorm", {D});
    with_bias(of + "intermediate.dense", {F, D});
    with_bias(of + "output.dense", {D, F});
    with_bias(of + "output.LayerNorm", {D});
  }
  with_bias("pooler.dense", {D, D});
  return shapes;
}

}  // namespace cllm
