#include "model/backbones/decoder/decoder_files.h"

#include <ATen/ops/equal.h>

#include <filesystem>
#include <fstream>
#include <memory>
#include <regex>
#include <set>

#include "model/backbones/decoder/decoder.h"
#include "model/backbones/file_tensor.h"
#include "model/backbones/safetensors.h"
#include "model/errors.h"

namespace cllm {
namespace {

/// Leftovers that published files carry: buffers of the rotation, and a tied head that equals the word embedding.
bool may_be_ignored(const DecoderConfig& config, const std::string& name, const Weight& found,
                    const at::Tensor& words) {
  static const std::regex buffer(R"((layers\.\d+\.self_attn\.)?rotary_emb\.inv_freq)");
  if (std::regex_match(name, buffer)) return true;
  if (!config.tied || name != "lm_head.weight") return false;
  const at::Tensor& head = found.tensor;
  if (head.sizes() == words.sizes() && head.scalar_type() == words.scalar_type() && at::equal(head, words)) return true;
  throw ModelError(found.file +
                   ": tensor 'lm_head.weight' differs from the word embedding, but tie_word_embeddings is "
                   "true in config.json: remove one of the two");
}

std::shared_ptr<Backbone> open(const ConfigJson& file, const Weights& weights, const BackboneOptions& options) {
  const DecoderConfig config = decoder_config(file);
  Decoder::Parameters parameters;
  std::set<std::string> known;
  for (const auto& [name, shape] : decoder_parameter_shapes(config)) {
    parameters.emplace_back(name, take_weight(weights, name, shape, options.parameters, file.dir()));
    known.insert(name);
  }
  for (const auto& [name, found] : weights) {
    if (!known.contains(name) && !may_be_ignored(config, name, found, weights.at("embed_tokens.weight").tensor)) {
      throw ModelError(found.file + ": tensor '" + found.name + "' is not part of a " + config.model_type + " of " +
                       std::to_string(config.num_layers) +
                       " layers; check num_hidden_layers in config.json, or remove it");
    }
  }
  return std::make_shared<Decoder>(config, std::move(parameters), options);
}

std::shared_ptr<Backbone> make(const ConfigJson& file, uint64_t seed, const BackboneOptions& options) {
  return make_decoder(decoder_config(file), seed, options);
}

BackboneShape shape(const ConfigJson& file) { return shape_of(decoder_config(file)); }

}  // namespace

const Family kLlamaFamily = {"llama", kDecoderPrefix, "embed_tokens.weight", shape, open, make};
const Family kMistralFamily = {"mistral", kDecoderPrefix, "embed_tokens.weight", shape, open, make};
const Family kQwen2Family = {"qwen2", kDecoderPrefix, "embed_tokens.weight", shape, open, make};
const Family kQwen3Family = {"qwen3", kDecoderPrefix, "embed_tokens.weight", shape, open, make};
const Family kGemma3Family = {"gemma3_text", kDecoderPrefix, "embed_tokens.weight", shape, open, make};

void Decoder::save(const std::string& dir, const std::vector<at::Tensor>& extra_rows) const {
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
    const bool head = name == "lm_head.weight";
    const at::Tensor merged = adapters_.merged(name, tensor);
    at::Tensor saved = extra_rows.empty() ? merged : merged.detach().to(at::kFloat);
    if (!extra_rows.empty() && (head || name == "embed_tokens.weight")) {
      files.push_back(with_rows(dir + (head ? "/head.scratch" : "/embedding.scratch"), tensor, extra_rows));
      saved = files.back()->tensor();
    }
    tensors.emplace_back(head ? name : kDecoderPrefix + name, saved);
  }
  write_safetensors(dir + "/model.safetensors", tensors, {{"format", "pt"}});
}

}  // namespace cllm
