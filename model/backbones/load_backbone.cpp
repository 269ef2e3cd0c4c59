#include "model/backbones/load_backbone.h"

#include <c10/util/Exception.h>

#include "model/backbones/families.h"
#include "model/backbones/gguf/gguf_model.h"
#include "model/errors.h"

namespace cllm {
namespace {

ConfigJson read_config(const std::string& path) {
  return is_gguf(path) ? ConfigJson(path, gguf_config(path)) : ConfigJson(path);
}

/// config.json with the number of words that are used.
ConfigJson config_of(const std::string& dir, int64_t num_words) {
  ConfigJson file = read_config(dir);
  const int64_t all = family_of(file).shape(file).num_words;
  TORCH_CHECK(num_words <= all, num_words, " words of ", all);
  if (num_words > 0) file.replace("vocab_size", num_words);
  return file;
}

/// The first rows of the tables that have one for each word.
void cut_words(Weights& weights, int64_t num_words) {
  for (const char* name : {"wte.weight", "embed_tokens.weight", "lm_head.weight"}) {
    const auto found = weights.find(name);
    if (found == weights.end() || found->second.tensor.dim() != 2) continue;
    at::Tensor& table = found->second.tensor;
    if (table.size(0) > num_words) table = table.narrow(0, 0, num_words);
  }
}

std::shared_ptr<Backbone> load(const std::string& dir, const BackboneOptions& options, int64_t num_words,
                               bool sequential) {
  const ConfigJson file = config_of(dir, num_words);  // a defect of config.json is told before one of the weights
  const Family& family = family_of(file);
  Weights weights = is_gguf(dir) ? gguf_weights(dir) : read_weights(dir, family.prefix, sequential);
  if (num_words > 0) cut_words(weights, num_words);
  return family.open(file, weights, options);
}

}  // namespace

BackboneShape read_shape(const std::string& dir) {
  const ConfigJson file = read_config(dir);
  return family_of(file).shape(file);
}

std::shared_ptr<Backbone> random_backbone(const std::string& dir, uint64_t seed, BackboneOptions options,
                                          int64_t num_words) {
  const ConfigJson file = config_of(dir, num_words);
  return family_of(file).make(file, seed, options);
}

std::shared_ptr<Backbone> load_backbone(const std::string& dir, BackboneOptions options, int64_t num_words) {
  return load(dir, options, num_words, true);
}

std::shared_ptr<Backbone> load_backbone(Communicator& host, const std::string& dir, BackboneOptions options,
                                        int64_t num_words) {
  std::shared_ptr<Backbone> backbone;
  std::string error;
  if (host.rank() == 0) {
    try {
      backbone = load(dir, options, num_words, true);
    } catch (const ModelError& e) {
      error = e.what();
    }
  }
  error = broadcast_string(host, error, 0);
  if (!error.empty()) throw ModelError(error);
  return backbone ? backbone : load(dir, options, num_words, false);
}

void save_backbone(const std::string& dir, const Backbone& backbone) { backbone.save(dir); }

}  // namespace cllm
