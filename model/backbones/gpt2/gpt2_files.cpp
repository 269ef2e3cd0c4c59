#include "model/backbones/gpt2/gpt2_files.h"

#include <ATen/ops/equal.h>

#include <filesystem>
#include <fstream>
#include <memory>
#include <regex>
#include <set>

#include "model/backbones/file_tensor.h"
#include "model/backbones/safetensors.h"
#include "model/errors.h"

namespace cllm {
namespace {

/// Leftovers that published files carry: causal-mask buffers, and the tied output head if it equals the word embedding.
bool may_be_ignored(const std::string& name, const Weight& found, const at::Tensor& words) {
  static const std::regex buffer(R"(h\.\d+\.attn\.(bias|masked_bias))");
  if (std::regex_match(name, buffer)) return true;
  if (name != "lm_head.weight") return false;
  const at::Tensor& head = found.tensor;
  if (head.sizes() == words.sizes() && head.scalar_type() == words.scalar_type() && at::equal(head, words)) return true;
  throw ModelError(
      found.file +
      ": tensor 'lm_head.weight' differs from the word embedding; only tied heads are known: remove it to tie");
}

std::shared_ptr<Backbone> open(const ConfigJson& file, const Weights& weights, const BackboneOptions& options) {
  const Gpt2Config config = gpt2_config(file);
  Gpt2::Parameters parameters;
  std::set<std::string> known;
  for (const auto& [name, shape] : gpt2_parameter_shapes(config)) {
    parameters.emplace_back(name, take_weight(weights, name, shape, options.parameters, file.dir()));
    known.insert(name);
  }
  for (const auto& [name, found] : weights) {
    if (!known.contains(name) && !may_be_ignored(name, found, weights.at("wte.weight").tensor)) {
      throw ModelError(found.file + ": tensor '" + found.name + "' is not part of a GPT-2 of " +
                       std::to_string(config.num_layers) + " layers; check n_layer in config.json, or remove it");
    }
  }
  return std::make_shared<Gpt2>(config, std::move(parameters), options);
}

std::shared_ptr<Backbone> make(const ConfigJson& file, uint64_t seed, const BackboneOptions& options) {
  return make_gpt2(gpt2_config(file), seed, options);
}

BackboneShape shape(const ConfigJson& file) { return shape_of(gpt2_config(file)); }

}  // namespace

const Family kGpt2Family = {"gpt2", kGpt2Prefix, "wte.weight", shape, open, make};

void Gpt2::save(const std::string& dir, const std::vector<at::Tensor>& extra_rows) const {
  std::filesystem::create_directories(dir);
  Gpt2Config config = config_;
  for (const at::Tensor& rows : extra_rows) config.num_words += rows.size(0);
  std::ofstream file(dir + "/config.json");
  file << gpt2_config_json(config);
  if (!file.flush()) throw ModelError(dir + "/config.json: cannot write");
  std::unique_ptr<FileTensor> words;
  if (!extra_rows.empty()) words = with_rows(dir + "/embedding.scratch", word_embedding(), extra_rows);
  NamedTensors tensors;
  for (const auto& [name, tensor] : parameters_) {
    const at::Tensor merged = adapters_.merged(name, tensor), saved = words ? merged.detach().to(at::kFloat) : merged;
    tensors.emplace_back(kGpt2Prefix + name, words && name == "wte.weight" ? words->tensor() : saved);
  }
  write_safetensors(dir + "/model.safetensors", tensors, {{"format", "pt"}});
}

}  // namespace cllm
