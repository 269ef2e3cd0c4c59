#pragma once

// Letters: I inputs and O outputs of a matrix, r rank.

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "model/nn/adapter.h"

namespace cllm {

/// How a family names and keeps what can be adapted.
struct AdaptedFamily {
  std::string prefix;                // of names in files, as "model."
  std::vector<std::string> modules;  // that are adapted unless the user names others
  bool keeps_inputs_first = false;   // matrices are [I, O], as GPT-2's
};

/// All adapters of a backbone: made while it is, matrix by matrix.
class Adapters {
 public:
  using Named = std::vector<std::pair<std::string, at::Tensor>>;

  Adapters() = default;  // none
  Adapters(AdapterOptions options, AdaptedFamily family, at::ScalarType dtype, at::Device device);

  /// The adapter of matrix `name` ("layers.0.self_attn.q_proj.weight") of a layer, if it is chosen: A Kaiming-uniform
  /// (|a| <= 1 / sqrt(I)), B zero; a function of (seed, order of the calls) alone.
  Adapter of(const std::string& name, int64_t layer, int64_t num_inputs, int64_t num_outputs);
  /// After the last matrix. ModelError: a module or layer that no matrix has, and what there is.
  void check() const;

  bool empty() const { return made_.empty(); }
  /// "<matrix>.lora_A.weight" [r, I] and "<matrix>.lora_B.weight" [O, r], in the order of the matrices.
  const Named& parameters() const { return parameters_; }
  /// The matrix with what its adapter adds; itself if it has none.
  at::Tensor merged(const std::string& name, const at::Tensor& weight) const;
  /// adapter_config.json and adapter_model.safetensors, which peft reads. `base`: the folder that they adapt.
  void save(const std::string& dir, const std::string& base) const;

 private:
  bool is_chosen(const std::string& module, int64_t layer) const;

  AdapterOptions options_;
  AdaptedFamily family_;
  at::ScalarType dtype_ = at::kFloat;
  at::Device device_ = at::kCPU;
  std::vector<std::pair<std::string, Adapter>> made_;  // by matrix
  Named parameters_;
  std::vector<std::string> offered_;  // matrices, by name without .weight
  int64_t num_layers_ = 0;
};

}  // namespace cllm
