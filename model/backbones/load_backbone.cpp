#include "model/backbones/load_backbone.h"

#include <ATen/ops/equal.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <regex>
#include <set>

#include "model/backbones/gpt2/gpt2.h"
#include "model/backbones/safetensors.h"
#include "model/errors.h"

namespace cllm {
namespace {

constexpr const char* kPrefix = "transformer.";

/// Tensors of a folder by their names without prefix, and the file each is in.
struct Found {
  at::Tensor tensor;
  std::string file, name;
};
using Folder = std::map<std::string, Found>;

void add_file(Folder& folder, const SafetensorsFile& file) {
  for (const std::string& name : file.names()) {
    const std::string plain = name.starts_with(kPrefix) ? name.substr(std::string(kPrefix).size()) : name;
    const auto [at, added] = folder.try_emplace(plain, Found{file.tensor(name), file.path(), name});
    if (!added) {
      throw ModelError(file.path() + ": tensor '" + name + "' is also '" + at->second.name + "' of " + at->second.file +
                       "; remove one");
    }
  }
}

/// File of each tensor in a sharded model.
std::map<std::string, std::string> read_index(const std::string& path) {
  std::ifstream file(path);
  try {
    return nlohmann::json::parse(file).at("weight_map").get<std::map<std::string, std::string>>();
  } catch (const nlohmann::json::exception& error) {
    throw ModelError(path + ": no valid index of shards (" + error.what() + "); copy it again");
  }
}

Folder read_folder(const std::string& dir, bool sequential) {
  Folder folder;
  const std::string single = dir + "/model.safetensors", index = single + ".index.json";
  if (std::filesystem::exists(single) || !std::filesystem::exists(index)) {
    add_file(folder, SafetensorsFile(single, sequential));
    return folder;
  }
  const auto weight_map = read_index(index);
  std::set<std::string> shards;
  for (const auto& [name, shard] : weight_map) {
    if (shard.find('/') != std::string::npos)
      throw ModelError(index + ": shard '" + shard + "' is not a plain file name");
    shards.insert(shard);
  }
  for (const std::string& shard : shards) {
    const SafetensorsFile file(dir + "/" + shard, sequential);
    for (const std::string& name : file.names()) {
      const auto listed = weight_map.find(name);
      if (listed == weight_map.end() || listed->second != shard) {
        throw ModelError(file.path() + ": tensor '" + name + "' is not listed for this shard in " + index +
                         "; copy the folder again");
      }
    }
    for (const auto& [name, where] : weight_map) {
      if (where == shard && !file.contains(name))
        throw ModelError(file.path() + ": tensor '" + name + "' is missing; " + index + " lists it");
    }
    add_file(folder, file);
  }
  return folder;
}

std::string text_of(at::IntArrayRef shape) {
  std::string text = "[";
  for (const int64_t extent : shape) text += (text.size() > 1 ? ", " : "") + std::to_string(extent);
  return text + "]";
}

/// Leftovers that published files carry: causal-mask buffers, and the tied output head if it equals the word embedding.
bool may_be_ignored(const std::string& name, const Found& found, const at::Tensor& words) {
  static const std::regex buffer(R"(h\.\d+\.attn\.(bias|masked_bias))");
  if (std::regex_match(name, buffer)) return true;
  if (name != "lm_head.weight") return false;
  const at::Tensor& head = found.tensor;
  if (head.sizes() == words.sizes() && head.scalar_type() == words.scalar_type() && at::equal(head, words)) return true;
  throw ModelError(
      found.file +
      ": tensor 'lm_head.weight' differs from the word embedding; only tied heads are known: remove it to tie");
}

Gpt2::Parameters take_parameters(const Gpt2Config& config, Folder folder, const std::string& dir,
                                 at::ScalarType dtype) {
  const Found* words = folder.contains("wte.weight") ? &folder.at("wte.weight") : nullptr;
  Gpt2::Parameters parameters;
  std::set<std::string> known;
  for (const auto& [name, shape] : gpt2_parameter_shapes(config)) {
    const auto found = folder.find(name);
    if (found == folder.end()) {
      throw ModelError(dir + ": tensor '" + name + "' " + text_of(shape) +
                       " is missing; config.json asks for it: take both from one model");
    }
    const at::Tensor& tensor = found->second.tensor;
    const std::string where = found->second.file + ": tensor '" + found->second.name + "' ";
    if (tensor.sizes() != at::IntArrayRef(shape)) {
      throw ModelError(where + "has shape " + text_of(tensor.sizes()) + ", expected " + text_of(shape) +
                       " by config.json; take both from one model");
    }
    if (!tensor.is_floating_point()) throw ModelError(where + "holds whole numbers, expected F64, F32, F16 or BF16");
    parameters.emplace_back(name, tensor.to(dtype));
    known.insert(name);
  }
  for (const auto& [name, found] : folder) {
    if (!known.contains(name) && !may_be_ignored(name, found, words->tensor)) {
      throw ModelError(found.file + ": tensor '" + found.name + "' is not part of a GPT-2 of " +
                       std::to_string(config.num_layers) + " layers; check n_layer in config.json, or remove it");
    }
  }
  return parameters;
}

std::shared_ptr<Backbone> load(const std::string& dir, BackboneOptions options, bool sequential) {
  const Gpt2Config config = read_gpt2_config(dir);
  auto parameters = take_parameters(config, read_folder(dir, sequential), dir, options.parameters);
  return std::make_shared<Gpt2>(config, std::move(parameters), options);
}

}  // namespace

std::shared_ptr<Backbone> load_backbone(const std::string& dir, BackboneOptions options) {
  return load(dir, options, true);
}

std::shared_ptr<Backbone> load_backbone(Communicator& host, const std::string& dir, BackboneOptions options) {
  std::shared_ptr<Backbone> backbone;
  std::string error;
  if (host.rank() == 0) {
    try {
      backbone = load(dir, options, true);
    } catch (const ModelError& e) {
      error = e.what();
    }
  }
  error = broadcast_string(host, error, 0);
  if (!error.empty()) throw ModelError(error);
  return backbone ? backbone : load(dir, options, false);
}

void save_backbone(const std::string& dir, const Backbone& backbone) {
  const auto* gpt2 = dynamic_cast<const Gpt2*>(&backbone);
  TORCH_CHECK(gpt2 != nullptr, "only GPT-2 backbones can be saved");
  std::filesystem::create_directories(dir);
  std::ofstream config(dir + "/config.json");
  config << gpt2_config_json(gpt2->config());
  if (!config.flush()) throw ModelError(dir + "/config.json: cannot write");
  NamedTensors tensors;
  for (const auto& [name, tensor] : gpt2->parameters()) tensors.emplace_back(kPrefix + name, tensor);
  write_safetensors(dir + "/model.safetensors", tensors, {{"format", "pt"}});
}

}  // namespace cllm
