#include "model/backbones/adapters.h"

#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/zeros.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "data/random.h"
#include "model/backbones/safetensors.h"
#include "model/errors.h"
#include "model/tables/start_values.h"

namespace cllm {
namespace {

constexpr std::string_view kWeight = ".weight";
constexpr uint64_t kSalt = 1ULL << 32;  // beyond the places of a backbone's own dropout

bool is_end_of(const std::string& end, const std::string& name) { return name == end || name.ends_with("." + end); }

std::string in_words(const std::vector<std::string>& names) {
  std::string out;
  for (const std::string& name : names) out += (out.empty() ? "" : ", ") + name;
  return out;
}

/// The last name of a matrix: q_proj of layers.0.self_attn.q_proj.
std::string last_name(const std::string& module) { return module.substr(module.rfind('.') + 1); }

void write_json(const std::string& path, const nlohmann::json& value) {
  std::ofstream file(path);
  file << value.dump(2) << "\n";
  if (!file.flush()) throw ModelError(path + ": cannot write");
}

}  // namespace

Adapters::Adapters(AdapterOptions options, AdaptedFamily family, at::ScalarType dtype, at::Device device)
    : options_(std::move(options)), family_(std::move(family)), dtype_(dtype), device_(device) {
  if (options_.modules.empty()) options_.modules = family_.modules;
}

bool Adapters::is_chosen(const std::string& module, int64_t layer) const {
  const auto& layers = options_.layers;
  return options_.rank > 0 && (layers.empty() || std::ranges::find(layers, layer) != layers.end()) &&
         std::ranges::any_of(options_.modules, [&](const std::string& end) { return is_end_of(end, module); });
}

Adapter Adapters::of(const std::string& name, int64_t layer, int64_t num_inputs, int64_t num_outputs) {
  const std::string module = name.substr(0, name.size() - kWeight.size());
  offered_.push_back(module);
  num_layers_ = std::max(num_layers_, layer + 1);
  if (!is_chosen(module, layer)) return {};
  const uint64_t number = made_.size(), key = stream_key(options_.seed, Purpose::kAdapterInit, number);
  const at::Tensor a_rI =
      drawn_rows(options_.rank, num_inputs, dtype_, key, uniform(1 / std::sqrt(static_cast<double>(num_inputs))));
  const auto leaf = [&](const char* part, const at::Tensor& start) {
    parameters_.emplace_back(module + part, start.to(device_).requires_grad_(true));
    return parameters_.back().second;
  };
  const at::Tensor a = leaf(".lora_A.weight", a_rI),
                   b = leaf(".lora_B.weight", at::zeros({num_outputs, options_.rank}, a_rI.options()));
  made_.emplace_back(name, Adapter(a, b, options_.alpha / static_cast<double>(options_.rank), kSalt + number));
  return made_.back().second;
}

void Adapters::check() const {
  if (options_.rank == 0) return;
  for (const std::string& end : options_.modules) {
    if (std::ranges::any_of(offered_, [&](const std::string& module) { return is_end_of(end, module); })) continue;
    std::vector<std::string> known;
    for (const std::string& module : offered_) {
      if (std::ranges::find(known, last_name(module)) == known.end()) known.push_back(last_name(module));
    }
    throw ModelError("backbone.adapters.modules: no matrix of this backbone is named " + end + "; name some of " +
                     in_words(known));
  }
  for (const int64_t layer : options_.layers) {
    if (layer >= 0 && layer < num_layers_) continue;
    throw ModelError("backbone.adapters.layers: layer " + std::to_string(layer) + " of a backbone with layers 0 to " +
                     std::to_string(num_layers_ - 1) + "; name some of these");
  }
}

at::Tensor Adapters::merged(const std::string& name, const at::Tensor& weight) const {
  const at::NoGradGuard no_grad;
  const auto found = std::ranges::find(made_, name, &std::pair<std::string, Adapter>::first);
  if (found == made_.end()) return weight;
  const at::Tensor delta_OI = found->second.delta_OI();
  return weight.detach().to(delta_OI.scalar_type()) + (family_.keeps_inputs_first ? delta_OI.t() : delta_OI);
}

void Adapters::save(const std::string& dir, const std::string& base) const {
  std::filesystem::create_directories(dir);
  NamedTensors tensors;
  for (const auto& [name, tensor] : parameters_) {
    tensors.emplace_back("base_model.model." + family_.prefix + name, tensor.detach().to(at::kFloat).cpu());
  }
  write_safetensors(dir + "/adapter_model.safetensors", tensors, {{"format", "pt"}});
  nlohmann::json config = {{"peft_type", "LORA"},
                           {"task_type", "CAUSAL_LM"},
                           {"base_model_name_or_path", base},
                           {"r", options_.rank},
                           {"lora_alpha", options_.alpha},
                           {"lora_dropout", options_.dropout},
                           {"target_modules", options_.modules},
                           {"fan_in_fan_out", family_.keeps_inputs_first},
                           {"bias", "none"},
                           {"inference_mode", true}};
  if (!options_.layers.empty()) config["layers_to_transform"] = options_.layers;
  write_json(dir + "/adapter_config.json", config);
}

}  // namespace cllm
