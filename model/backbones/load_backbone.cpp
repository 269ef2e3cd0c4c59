#include "model/backbones/load_backbone.h"

#include <algorithm>
#include <functional>
#include <utility>

#include "model/backbones/families.h"
#include "model/backbones/gguf/gguf_model.h"
#include "model/backbones/gguf/shared_weights.h"
#include "model/errors.h"

namespace cllm {
namespace {

ConfigJson read_config(const std::string& path) {
  return is_gguf(path) ? ConfigJson(path, gguf_config(path)) : ConfigJson(path);
}

/// The configuration of a model that holds only these words.
ConfigJson in_words(const ConfigJson& file, const Family& family, const std::vector<int32_t>& words) {
  const ConfigJson out = file.with("vocab_size", std::ssize(words));
  const std::optional<int32_t> start = family.shape(file).start_word;
  if (!start) return out;
  const auto place = std::ranges::find(words, *start);
  if (place == words.end())
    throw ModelError(file.dir() + ": decoder_start_token_id " + std::to_string(*start) +
                     " is not among the words held");
  return out.with("decoder_start_token_id", place - words.begin());
}

/// Of a folder; of its word tables only the rows that are held.
Weights picked_weights(const std::string& dir, const Family& family, const BackboneOptions& options, bool sequential) {
  Weights weights = read_weights(dir, family.prefix, sequential);
  for (const char* const table : {family.words, "lm_head.weight"}) pick_rows(weights, table, options.words);
  return weights;
}

std::shared_ptr<Backbone> load(const std::string& dir, const BackboneOptions& options,
                               const std::function<Weights(const Family&)>& read) {
  const ConfigJson file = read_config(dir);
  const Family& family = family_of(file);
  family.shape(file);  // a defect of config.json is told before one of the weights
  Weights weights = read(family);
  const auto held = std::ssize(options.words);
  if (held > 0) return family.open(in_words(file, family, options.words), weights, options);
  if (options.num_words == 0) return family.open(file, weights, options);
  for (const char* const table : {family.words, "lm_head.weight"}) keep_rows(weights, table, options.num_words);
  return family.open(file.with("vocab_size", options.num_words), weights, options);
}

}  // namespace

BackboneShape read_shape(const std::string& dir) {
  const ConfigJson file = read_config(dir);
  return family_of(file).shape(file);
}

std::optional<int32_t> read_bos(const std::string& dir) {
  const ConfigJson file = read_config(dir);
  const auto found = file.json().find("bos_token_id");
  if (found == file.json().end() || !found->is_number_integer()) return {};
  return found->get<int32_t>();
}

std::optional<int32_t> read_eos(const std::string& dir) {
  const ConfigJson file = read_config(dir);
  if (!file.json().contains("eos_token_id")) return {};
  const nlohmann::json& given = file.json()["eos_token_id"];
  const nlohmann::json& token = given.is_array() && !given.empty() ? given[0] : given;
  if (!token.is_number_integer()) return {};
  return token.get<int32_t>();
}

std::shared_ptr<Backbone> random_backbone(const std::string& dir, uint64_t seed, BackboneOptions options) {
  return random_backbone(read_config(dir), seed, std::move(options));
}

std::shared_ptr<Backbone> random_backbone(const ConfigJson& file, uint64_t seed, BackboneOptions options) {
  const Family& family = family_of(file);
  if (!options.words.empty())
    throw ModelError(file.dir() + ": a random word embedding is held as a whole or not at all");
  return family.make(options.num_words > 0 ? file.with("vocab_size", options.num_words) : file, seed, options);
}

std::shared_ptr<Backbone> load_backbone(const std::string& dir, BackboneOptions options) {
  return load(dir, options, [&](const Family& family) {
    return is_gguf(dir) ? gguf_weights(dir, options.words, {options.parameters, options.compute, family.precise})
                        : picked_weights(dir, family, options, /*sequential=*/true);
  });
}

std::shared_ptr<Backbone> load_backbone(Communicator& host, const std::string& dir, BackboneOptions options) {
  if (is_gguf(dir)) {  // a defect of the metadata is every rank's, and is found before the ranks meet
    return load(dir, options, [&](const Family& family) {
      return shared_weights(host, [&] {
        return gguf_weights(dir, options.words, {options.parameters, options.compute, family.precise});
      });
    });
  }
  std::shared_ptr<Backbone> backbone;
  std::string error;
  if (host.rank() == 0) {
    try {
      backbone = load_backbone(dir, options);
    } catch (const ModelError& e) {
      error = e.what();
    }
  }
  error = broadcast_string(host, error, 0);
  if (!error.empty()) throw ModelError(error);
  if (backbone) return backbone;
  return load(dir, options, [&](const Family& family) { return picked_weights(dir, family, options, false); });
}

void save_backbone(const std::string& dir, const Backbone& backbone) { backbone.save(dir); }

}  // namespace cllm
