#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "dist/communicator/communicator.h"
#include "model/backbones/backbone.h"
#include "model/backbones/config_json.h"

namespace cllm {

/// Sizes of the backbone in a Hugging Face folder, by its config.json alone; ModelError names the file, the key, the
/// value and what is known.
BackboneShape read_shape(const std::string& dir);

/// bos_token_id of its config.json, if it names one.
std::optional<int32_t> read_bos(const std::string& dir);
/// eos_token_id likewise; of a list the first.
std::optional<int32_t> read_eos(const std::string& dir);

/// A backbone of the sizes in `<dir>/config.json`, or in `file`, with random weights, the same for any number of ranks
/// and threads.
std::shared_ptr<Backbone> random_backbone(const std::string& dir, uint64_t seed, BackboneOptions options = {});
std::shared_ptr<Backbone> random_backbone(const ConfigJson& file, uint64_t seed, BackboneOptions options = {});

/// The backbone in a Hugging Face folder: config.json, and model.safetensors or model.safetensors.index.json with its
/// shards (weights.h); F32, F64, F16 or BF16; or in a file *.gguf. Collective over the ranks of one host: the first
/// reads the files, the others then map the same pages, so fp32 weights exist once per host, those that a GGUF file's
/// blocks are unpacked to as well. Every defect is one
/// ModelError, thrown on all ranks of the host.
std::shared_ptr<Backbone> load_backbone(Communicator& host, const std::string& dir, BackboneOptions options);

/// The same without other ranks.
std::shared_ptr<Backbone> load_backbone(const std::string& dir, BackboneOptions options);

/// Writes config.json and model.safetensors, which transformers and load_backbone read. One rank calls it.
void save_backbone(const std::string& dir, const Backbone& backbone);

}  // namespace cllm
