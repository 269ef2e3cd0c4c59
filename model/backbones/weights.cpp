#include "model/backbones/weights.h"

#include <ATen/ops/empty.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/isfinite.h>
#include <ATen/ops/nonzero.h>
#include <ATen/ops/sum.h>
#include <ATen/ops/tensor.h>

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <set>

#include "model/backbones/other_formats.h"
#include "model/backbones/safetensors.h"
#include "model/errors.h"

namespace cllm {
namespace {

std::string text_of(at::IntArrayRef shape) {
  std::string text = "[";
  for (const int64_t extent : shape) text += (text.size() > 1 ? ", " : "") + std::to_string(extent);
  return text + "]";
}

/// The name in the model itself. Wrappers put parts of their own before or between the model's: torch.compile, DDP and
/// DataParallel, FSDP, activation checkpointing; Lightning and the like keep the model as their member `model`.
std::string plain_name(const std::string& name, const std::string& prefix) {
  static constexpr std::string_view kWrappers[] = {"_orig_mod.", "module.", "_fsdp_wrapped_module.",
                                                   "_checkpoint_wrapped_module."};
  std::string out;
  for (size_t begin = 0; begin < name.size();) {
    const size_t end = std::min(name.find('.', begin), name.size() - 1) + 1;
    const std::string_view part = std::string_view(name).substr(begin, end - begin);
    if (std::find(std::begin(kWrappers), std::end(kWrappers), part) == std::end(kWrappers)) out += part;
    begin = end;
  }
  for (const std::string_view outer : {std::string_view("model."), std::string_view(prefix)}) {
    while (!outer.empty() && out.starts_with(outer)) out.erase(0, outer.size());
  }
  return out;
}

void add_file(Weights& folder, const SafetensorsFile& file, const std::string& prefix) {
  for (const std::string& name : file.names()) {
    const at::Tensor tensor = file.tensor(name);
    const auto [at, added] =
        folder.try_emplace(plain_name(name, prefix), Weight{tensor, file.path(), name, file.maps(tensor)});
    if (!added) {
      throw ModelError(file.path() + ": tensor '" + name + "' is also '" + at->second.name + "' of " + at->second.file +
                       "; remove one");
    }
  }
}

/// Takes the pages of a view of a file, to which nobody has written, out of this process; they come back from the file
/// when they are read.
void forget_pages(const at::Tensor& view) {
  const auto page = static_cast<uintptr_t>(::sysconf(_SC_PAGESIZE));
  const auto begin = reinterpret_cast<uintptr_t>(view.const_data_ptr()), end = begin + view.nbytes();
  const uintptr_t first = (begin + page - 1) / page * page, last = end / page * page;  // neighbours keep theirs
  if (first < last) ::madvise(reinterpret_cast<void*>(first), last - first, MADV_DONTNEED);
}

bool may_be_not_finite(const at::Tensor& tensor) {
  const double sum = at::sum(tensor, tensor.scalar_type() == at::kDouble ? at::kDouble : at::kFloat).item<double>();
  return !std::isfinite(sum);
}

void refuse_not_finite(const at::Tensor& tensor, const std::string& where) {
  const at::Tensor bad = at::nonzero(at::isfinite(tensor.reshape({-1})).logical_not());
  if (bad.size(0) == 0) return;  // large numbers
  throw ModelError(where + "holds " + std::to_string(bad.size(0)) + " of " + std::to_string(tensor.numel()) +
                   " values that are NaN or infinite, the first at " + std::to_string(bad[0].item<int64_t>()) +
                   ": a damaged file or a diverged model; take an earlier state of it");
}

at::Tensor checked_and_converted(const Weight& weight, at::ScalarType dtype, const std::string& where) {
  const at::Tensor& tensor = weight.tensor;
  if (tensor.scalar_type() == dtype || tensor.dim() == 0) {
    if (may_be_not_finite(tensor)) refuse_not_finite(tensor, where);
    return tensor.to(dtype);
  }
  constexpr int64_t kBlock = int64_t{16} << 20;  // bytes
  const int64_t rows = tensor.size(0);
  const int64_t at_a_time =
      std::max<int64_t>(1, rows * kBlock / std::max<int64_t>(1, static_cast<int64_t>(tensor.nbytes())));
  at::Tensor out = at::empty(tensor.sizes(), tensor.options().dtype(dtype));
  for (int64_t row = 0; row < rows; row += at_a_time) {
    const int64_t count = std::min(at_a_time, rows - row);
    const at::Tensor block = tensor.narrow(0, row, count);
    if (may_be_not_finite(block)) refuse_not_finite(tensor, where);
    out.narrow(0, row, count).copy_(block);
    if (weight.is_mapped) forget_pages(block);
  }
  return out;
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

/// Every tensor of a shard is listed for it, and is there.
void check_shard(const SafetensorsFile& file, const std::map<std::string, std::string>& weight_map,
                 const std::string& shard, const std::string& index) {
  const std::string not_listed = " is not listed for this shard in " + index + "; copy the folder again",
                    missing = " is missing; " + index + " lists it";
  const auto refuse = [&](const std::string& name, const std::string& what) {
    throw ModelError(file.path() + ": tensor '" + name + "'" + what);
  };
  for (const std::string& name : file.names()) {
    const auto listed = weight_map.find(name);
    if (listed == weight_map.end() || listed->second != shard) refuse(name, not_listed);
  }
  for (const auto& [name, where] : weight_map) {
    if (where == shard && !file.contains(name)) refuse(name, missing);
  }
}

void require_plain(const std::string& shard, const std::string& index) {
  if (shard.find('/') != std::string::npos)
    throw ModelError(index + ": shard '" + shard + "' is not a plain file name");
}

}  // namespace

Weights read_weights(const std::string& dir, const std::string& prefix, bool sequential) {
  Weights folder;
  const std::string single = dir + "/model.safetensors", index = single + ".index.json";
  if (std::filesystem::exists(single) || !std::filesystem::exists(index)) {
    if (!std::filesystem::exists(single)) refuse_other_formats(dir);
    add_file(folder, SafetensorsFile(single, sequential), prefix);
    return folder;
  }
  const auto weight_map = read_index(index);
  std::set<std::string> shards;
  for (const auto& [name, shard] : weight_map) {
    require_plain(shard, index);
    shards.insert(shard);
  }
  const std::filesystem::path folder_path = dir;
  for (const std::string& shard : shards) {
    const SafetensorsFile file((folder_path / shard).string(), sequential);
    check_shard(file, weight_map, shard, index);
    add_file(folder, file, prefix);
  }
  return folder;
}

void keep_rows(Weights& weights, const std::string& name, int64_t num_rows) {
  const auto found = weights.find(name);
  if (found == weights.end() || found->second.tensor.dim() == 0) return;
  at::Tensor& table = found->second.tensor;
  if (table.size(0) > num_rows) table = table.narrow(0, 0, num_rows);
}

void pick_rows(Weights& weights, const std::string& name, const std::vector<int32_t>& rows) {
  const auto found = weights.find(name);
  if (found == weights.end() || found->second.tensor.dim() == 0 || rows.empty()) return;
  const int64_t last = *std::max_element(rows.begin(), rows.end());
  at::Tensor& table = found->second.tensor;
  if (last >= table.size(0)) {
    throw ModelError(found->second.file + ": tensor '" + found->second.name + "' has " + std::to_string(table.size(0)) +
                     " rows, and word " + std::to_string(last) + " is used; take its tokenizer from the same model");
  }
  const at::Tensor picked = table.index_select(0, at::tensor(rows, at::kInt));
  if (found->second.is_mapped) forget_pages(table);
  table = picked;
  found->second.is_mapped = false;
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
  return checked_and_converted(found->second, dtype, where);
}

at::ScalarType held_dtype(const HeldIn& held, const std::string& name, size_t dimensions) {
  const bool precise = std::ranges::any_of(
      held.precise, [&](const char* part) { return part != nullptr && name.find(part) != std::string::npos; });
  return held.compute == at::kBFloat16 && dimensions == 2 && !precise ? held.compute : held.parameters;
}

std::vector<std::pair<std::string, at::Tensor>> take_weights(
    const Weights& weights, const std::vector<std::pair<std::string, std::vector<int64_t>>>& shapes, const HeldIn& held,
    const std::string& dir, const std::function<bool(const std::string& name, const Weight& found)>& ignored,
    const std::string& model) {
  std::vector<std::pair<std::string, at::Tensor>> out;
  std::set<std::string> known;
  for (const auto& [name, shape] : shapes) {
    out.emplace_back(name, take_weight(weights, name, shape, held_dtype(held, name, shape.size()), dir));
    known.insert(name);
  }
  for (const auto& [name, found] : weights) {
    if (known.contains(name) || ignored(name, found)) continue;
    throw ModelError(found.file + ": tensor '" + found.name + "' is not part of a " + model +
                     " in config.json, or remove it");
  }
  return out;
}

bool is_tied_head(const Weight& head, const at::Tensor& words) {
  const at::Tensor& rows = head.tensor;
  if (rows.sizes() == words.sizes() && rows.scalar_type() == words.scalar_type() && at::equal(rows, words)) return true;
  throw ModelError(head.file + ": tensor '" + head.name +
                   "' differs from the word embedding; by tie_word_embeddings in config.json (true if it is not there) "
                   "only tied heads are known: remove the tensor, or take both files from one model");
}

}  // namespace cllm
