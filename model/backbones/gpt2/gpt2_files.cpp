#include "model/backbones/gpt2/gpt2_files.h"

#include <regex>

#include "model/backbones/file_tensor.h"
#include "model/backbones/weights.h"

namespace cllm {
namespace {

constexpr PreciseNames kPrecise = {"wpe"};  // is added to what is read

/// Leftovers that published files carry: causal-mask buffers, and the tied output head if it equals the word embedding.
bool may_be_ignored(const std::string& name, const Weight& found, const at::Tensor& words) {
  static const std::regex buffer(R"(h\.\d+\.attn\.(bias|masked_bias))");
  if (std::regex_match(name, buffer)) return true;
  return name == "lm_head.weight" && is_tied_head(found, words);
}

std::shared_ptr<Backbone> open(const ConfigJson& file, const Weights& weights, const BackboneOptions& options) {
  const Gpt2Config config = gpt2_config(file);
  auto parameters = take_weights(
      weights, gpt2_parameter_shapes(config), {options.parameters, options.compute, kPrecise}, file.dir(),
      [&](const std::string& name, const Weight& found) {
        return may_be_ignored(name, found, weights.at("wte.weight").tensor);
      },
      "GPT-2 of " + std::to_string(config.num_layers) + " layers; check n_layer");
  return std::make_shared<Gpt2>(config, std::move(parameters), options);
}

std::shared_ptr<Backbone> make(const ConfigJson& file, uint64_t seed, const BackboneOptions& options) {
  return make_gpt2(gpt2_config(file), seed, options);
}

BackboneShape shape(const ConfigJson& file) { return shape_of(gpt2_config(file)); }

}  // namespace

const Family kGpt2Family = {"gpt2", kGpt2Prefix, "wte.weight", kPrecise, shape, open, make};

void Gpt2::save(const std::string& dir, const std::vector<at::Tensor>& extra_rows) const {
  Gpt2Config config = config_;
  config.num_words += num_rows(extra_rows);
  NamedTensors tensors;
  for (const auto& [name, tensor] : parameters_)
    tensors.emplace_back(kGpt2Prefix + name, adapters_.merged(name, tensor));
  save_model(dir, gpt2_config_json(config), tensors, {std::string(kGpt2Prefix) + "wte.weight"}, extra_rows);
}

}  // namespace cllm
