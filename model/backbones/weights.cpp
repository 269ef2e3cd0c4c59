#include "model/backbones/weights.h"

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <set>

#include "model/backbones/safetensors.h"
#include "model/errors.h"

namespace cllm {
namespace {

std::string text_of(at::IntArrayRef shape) {
  std::string text = "[";
  for (const int64_t extent : shape) text += (text.size() > 1 ? ", " : "") + std::to_string(extent);
  return text + "]";
}

void add_file(Weights& folder, const SafetensorsFile& file, const std::string& prefix) {
  for (const std::string& name : file.names()) {
    const std::string plain = name.starts_with(prefix) ? name.substr(prefix.size()) : name;
    const auto [at, added] = folder.try_emplace(plain, Weight{file.tensor(name), file.path(), name});
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

}  // namespace

Weights read_weights(const std::string& dir, const std::string& prefix, bool sequential) {
  Weights folder;
  const std::string single = dir + "/model.safetensors", index = single + ".index.json";
  if (std::filesystem::exists(single) || !std::filesystem::exists(index)) {
    add_file(folder, SafetensorsFile(single, sequential), prefix);
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
    add_file(folder, file, prefix);
  }
  return folder;
}

at::Tensor take_weight(const Weights& weights, const std::string& name, const std::vector<int64_t>& shape,
                       at::ScalarType dtype, const std::string& dir) {
  const auto found = weights.find(name);
  if (found == weights.end()) {
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
  return tensor.to(dtype);
}

}  // namespace cllm
