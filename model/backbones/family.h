#pragma once

#include <cstdint>
#include <memory>

#include "model/backbones/backbone.h"
#include "model/backbones/config_json.h"
#include "model/backbones/weights.h"

namespace cllm {

/// What reads and makes the backbones of one `model_type`. families.cpp lists them.
struct Family {
  const char* model_type;  // of config.json
  const char* prefix;      // that names of tensors may have
  const char* words;       // name of the word embedding
  PreciseNames precise;
  BackboneShape (*shape)(const ConfigJson& file);
  std::shared_ptr<Backbone> (*open)(const ConfigJson& file, const Weights& weights, const BackboneOptions& options);
  /// Random weights, the same for any number of ranks and threads.
  std::shared_ptr<Backbone> (*make)(const ConfigJson& file, uint64_t seed, const BackboneOptions& options);
};

}  // namespace cllm
