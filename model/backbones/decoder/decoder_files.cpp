#include "model/backbones/decoder/decoder_files.h"

#include <regex>

#include "model/backbones/decoder/decoder.h"
#include "model/backbones/file_tensor.h"
#include "model/backbones/weights.h"

namespace cllm {
namespace {

constexpr const char* kHead = "lm_head.weight";

/// Leftovers that published files carry: buffers of the rotation, and a tied head that equals the word embedding.
bool may_be_ignored(const DecoderConfig& config, const std::string& name, const Weight& found,
                    const at::Tensor& words) {
  static const std::regex buffer(R"((layers\.\d+\.self_attn\.)?rotary_emb\.inv_freq)");
  if (std::regex_match(name, buffer)) return true;
  if (!config.tied || name != kHead) return false;
  return is_tied_head(found, words);
}

std::shared_ptr<Backbone> open(const ConfigJson& file, const Weights& weights, const BackboneOptions& options) {
  const DecoderConfig config = decoder_config(file);
  auto parameters = take_weights(
      weights, decoder_parameter_shapes(config), {options.parameters, options.compute}, file.dir(),
      [&](const std::string& name, const Weight& found) {
        return may_be_ignored(config, name, found, weights.at("embed_tokens.weight").tensor);
      },
      config.model_type + " of " + std::to_string(config.num_layers) + " layers; check num_hidden_layers");
  return std::make_shared<Decoder>(config, std::move(parameters), options);
}

std::shared_ptr<Backbone> make(const ConfigJson& file, uint64_t seed, const BackboneOptions& options) {
  return make_decoder(decoder_config(file), seed, options);
}

BackboneShape shape(const ConfigJson& file) { return shape_of(decoder_config(file)); }

}  // namespace

const Family kLlamaFamily = {"llama", kDecoderPrefix, "embed_tokens.weight", {}, shape, open, make};
const Family kMistralFamily = {"mistral", kDecoderPrefix, "embed_tokens.weight", {}, shape, open, make};
const Family kQwen2Family = {"qwen2", kDecoderPrefix, "embed_tokens.weight", {}, shape, open, make};
const Family kQwen3Family = {"qwen3", kDecoderPrefix, "embed_tokens.weight", {}, shape, open, make};
const Family kGemma3Family = {"gemma3_text", kDecoderPrefix, "embed_tokens.weight", {}, shape, open, make};

void Decoder::save(const std::string& dir, const std::vector<at::Tensor>& extra_rows) const {
  nlohmann::json config = config_.source;
  config["vocab_size"] = config_.num_words + num_rows(extra_rows);
  config["torch_dtype"] = "float32";
  NamedTensors tensors;
  for (const auto& [name, tensor] : parameters_)
    tensors.emplace_back(name == kHead ? name : kDecoderPrefix + name, adapters_.merged(name, tensor));
  save_model(dir, config.dump(2) + "\n", tensors, {std::string(kDecoderPrefix) + "embed_tokens.weight", kHead},
             extra_rows);
}

}  // namespace cllm
