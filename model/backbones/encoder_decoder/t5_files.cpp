#include "model/backbones/encoder_decoder/t5_files.h"

#include <ATen/ops/equal.h>
#include <ATen/ops/full.h>

#include "model/backbones/encoder_decoder/t5.h"
#include "model/backbones/file_tensor.h"
#include "model/backbones/start_weight.h"
#include "model/backbones/weights.h"

namespace cllm {
namespace {

constexpr const char *kWords = "shared.weight", *kHead = "lm_head.weight";
constexpr PreciseNames kPrecise = {kWords, "relative_attention_bias"};  // unscaled attention blows up rounding

/// Both stacks' copies of the word embedding, which transformers ties to it whatever they hold, and a tied head.
bool is_copy(const T5Config& config, const std::string& name, const Weight& found, const at::Tensor& words) {
  if (name == "encoder.embed_tokens.weight" || name == "decoder.embed_tokens.weight") return true;
  return config.tied && name == kHead && is_tied_head(found, words);
}

/// Whether there is a head beside the word embedding that differs from it: transformers keeps both then.
bool has_own_head(const Weights& weights) {
  const auto head = weights.find(kHead), words = weights.find(kWords);
  return head != weights.end() && words != weights.end() && !at::equal(head->second.tensor, words->second.tensor);
}

std::shared_ptr<Backbone> open(const ConfigJson& file, const Weights& weights, const BackboneOptions& options) {
  T5Config config = t5_config(file);
  if (config.tied && !config.scaled) config.tied = !has_own_head(weights);
  auto parameters = take_weights(
      weights, t5_parameter_shapes(config), {options.parameters, options.compute, kPrecise}, file.dir(),
      [&](const std::string& name, const Weight& found) {
        return is_copy(config, name, found, weights.at(kWords).tensor);
      },
      "t5 of " + std::to_string(config.encoder_layers) + " and " + std::to_string(config.decoder_layers) +
          " layers; check num_layers and feed_forward_proj");
  return std::make_shared<T5>(config, std::move(parameters), options);
}

std::shared_ptr<Backbone> make(const ConfigJson& file, uint64_t seed, const BackboneOptions& options) {
  return make_t5(t5_config(file), seed, options);
}

BackboneShape shape(const ConfigJson& file) { return shape_of(t5_config(file)); }

}  // namespace

const Family kT5Family = {"t5", "", kWords, kPrecise, shape, open, make};

std::shared_ptr<T5> make_t5(const T5Config& config, uint64_t seed, BackboneOptions options) {
  T5::Parameters parameters;
  for (const auto& [name, shape] : t5_parameter_shapes(config)) {
    if (shape.size() == 1) {
      parameters.emplace_back(name, at::full(shape, 1.0, at::TensorOptions().dtype(options.parameters)));
    } else {
      parameters.emplace_back(name, normal_weight(shape, 0.02, seed, parameters.size(), options.parameters));
    }
  }
  return std::make_shared<T5>(config, std::move(parameters), options);
}

void T5::save(const std::string& dir, const std::vector<at::Tensor>& extra_rows) const {
  nlohmann::json config = config_.source;
  config["vocab_size"] = config_.num_words + num_rows(extra_rows);
  config["torch_dtype"] = "float32";
  NamedTensors tensors;
  for (const auto& [name, tensor] : parameters_) tensors.emplace_back(name, adapters_.merged(name, tensor));
  save_model(dir, config.dump(2) + "\n", tensors, {kWords, kHead}, extra_rows);
}

}  // namespace cllm
