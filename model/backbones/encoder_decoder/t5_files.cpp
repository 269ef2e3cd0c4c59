#include "model/backbones/encoder_decoder/t5_files.h"

#include <ATen/ops/equal.h>
#include <ATen/ops/full.h>

#include <filesystem>
#include <fstream>
#include <set>

#include "model/backbones/encoder_decoder/t5.h"
#include "model/backbones/file_tensor.h"
#include "model/backbones/safetensors.h"
#include "model/backbones/start_weight.h"
#include "model/errors.h"

namespace cllm {
namespace {

constexpr const char* kWords = "shared.weight";

/// Both stacks' copies of the word embedding, and a tied head: leftovers if they hold the same values. The embedding
/// may have been cut to the rows that are used, copies not.
bool is_copy(const T5Config& config, const std::string& name, const Weight& found) {
  if (name == "encoder.embed_tokens.weight" || name == "decoder.embed_tokens.weight") return true;
  if (!config.tied || name != "lm_head.weight") return false;
  throw ModelError(found.file +
                   ": tensor 'lm_head.weight' stands beside tie_word_embeddings = true in config.json: remove the "
                   "tensor, or (T5 1.1, FLAN) set false");
}

std::shared_ptr<Backbone> open(const ConfigJson& file, const Weights& weights, const BackboneOptions& options) {
  const T5Config config = t5_config(file);
  T5::Parameters parameters;
  std::set<std::string> known;
  for (const auto& [name, shape] : t5_parameter_shapes(config)) {
    parameters.emplace_back(name, take_weight(weights, name, shape, options.parameters, file.dir()));
    known.insert(name);
  }
  for (const auto& [name, found] : weights) {
    if (known.contains(name) || is_copy(config, name, found)) continue;
    throw ModelError(found.file + ": tensor '" + found.name + "' is not part of a t5 of " +
                     std::to_string(config.encoder_layers) + " and " + std::to_string(config.decoder_layers) +
                     " layers; check num_layers and feed_forward_proj in config.json, or remove it");
  }
  return std::make_shared<T5>(config, std::move(parameters), options);
}

std::shared_ptr<Backbone> make(const ConfigJson& file, uint64_t seed, const BackboneOptions& options) {
  return make_t5(t5_config(file), seed, options);
}

BackboneShape shape(const ConfigJson& file) { return shape_of(t5_config(file)); }

}  // namespace

const Family kT5Family = {"t5", "", kWords, shape, open, make};

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
  std::filesystem::create_directories(dir);
  nlohmann::json config = config_.source;
  int64_t num_words = config_.num_words;
  for (const at::Tensor& rows : extra_rows) num_words += rows.size(0);
  config["vocab_size"] = num_words;
  config["torch_dtype"] = "float32";
  std::ofstream file(dir + "/config.json");
  file << config.dump(2) << "\n";
  if (!file.flush()) throw ModelError(dir + "/config.json: cannot write");
  std::vector<std::unique_ptr<FileTensor>> files;
  NamedTensors tensors;
  for (const auto& [name, tensor] : parameters_) {
    const at::Tensor merged = adapters_.merged(name, tensor);
    at::Tensor saved = extra_rows.empty() ? merged : merged.detach().to(at::kFloat);
    if (!extra_rows.empty() && (name == kWords || name == "lm_head.weight")) {
      files.push_back(with_rows(dir + "/" + name + ".scratch", tensor, extra_rows));
      saved = files.back()->tensor();
    }
    tensors.emplace_back(name, saved);
  }
  write_safetensors(dir + "/model.safetensors", tensors, {{"format", "pt"}});
}

}  // namespace cllm
