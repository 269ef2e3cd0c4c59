#include "model/backbones/encoder/bert_files.h"

#include <ATen/ops/full.h>

#include <regex>

#include "model/backbones/encoder/bert.h"
#include "model/backbones/file_tensor.h"
#include "model/backbones/start_weight.h"
#include "model/errors.h"

namespace cllm {
namespace {

constexpr const char* kPrefix = "bert.";
constexpr const char* kWords = "embeddings.word_embeddings.weight";
constexpr PreciseNames kPrecise = {"position_embeddings", "token_type_embeddings"};

/// Files of old versions name gains and biases of norms gamma and beta.
Weights with_new_names(const Weights& weights) {
  Weights out;
  for (const auto& [name, weight] : weights) {
    std::string plain = name;
    for (const auto& [old, now] :
         {std::pair("LayerNorm.gamma", "LayerNorm.weight"), {"LayerNorm.beta", "LayerNorm.bias"}}) {
      if (plain.ends_with(old)) plain.replace(plain.size() - std::string(old).size(), std::string::npos, now);
    }
    out.emplace(plain, weight);
  }
  return out;
}

/// Buffers, and heads that only training of a BERT needs.
bool may_be_ignored(const std::string& name) {
  static const std::regex known(R"(embeddings\.position_ids|embeddings\.token_type_ids|cls\..*)");
  return std::regex_match(name, known);
}

std::shared_ptr<Backbone> open(const ConfigJson& file, const Weights& found, const BackboneOptions& options) {
  const BertConfig config = bert_config(file);
  const Weights weights = with_new_names(found);
  auto shapes = bert_parameter_shapes(config);
  if (!weights.contains("pooler.dense.weight"))
    std::erase_if(shapes, [](const auto& entry) { return entry.first.starts_with("pooler."); });
  auto parameters = take_weights(
      weights, shapes, {options.parameters, options.compute, kPrecise}, file.dir(),
      [](const std::string& name, const Weight&) { return may_be_ignored(name); },
      "bert of " + std::to_string(config.num_layers) + " layers; check num_hidden_layers");
  return std::make_shared<Bert>(config, std::move(parameters), options);
}

std::shared_ptr<Backbone> make(const ConfigJson& file, uint64_t seed, const BackboneOptions& options) {
  const BertConfig config = bert_config(file);
  Bert::Parameters parameters;
  for (const auto& [name, shape] : bert_parameter_shapes(config)) {
    if (shape.size() == 1) {
      const double value = name.ends_with("LayerNorm.weight") ? 1 : 0;
      parameters.emplace_back(name, at::full(shape, value, at::TensorOptions().dtype(options.parameters)));
    } else {
      parameters.emplace_back(name, normal_weight(shape, 0.02, seed, parameters.size(), options.parameters));
    }
  }
  return std::make_shared<Bert>(config, std::move(parameters), options);
}

BackboneShape shape(const ConfigJson& file) { return shape_of(bert_config(file)); }

}  // namespace

const Family kBertFamily = {"bert", kPrefix, kWords, kPrecise, shape, open, make};

void Bert::save(const std::string& dir, const std::vector<at::Tensor>& extra_rows) const {
  if (!extra_rows.empty()) throw ModelError("a bert has no rows of users and items");
  save_model(dir, config_.source.dump(2) + "\n", parameters_, {}, {});
}

}  // namespace cllm
