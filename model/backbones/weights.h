#pragma once

#include <ATen/core/Tensor.h>

#include <map>
#include <string>
#include <vector>

namespace cllm {

/// A tensor of a folder, the file it is in and its name there.
struct Weight {
  at::Tensor tensor;
  std::string file, name;
};
using Weights = std::map<std::string, Weight>;  // by name, without the prefix

/// All tensors of a Hugging Face folder: model.safetensors, or model.safetensors.index.json with its shards. Names may
/// come with or without `prefix`. Tensors are views of the mapped files (safetensors.h). `sequential`: read ahead.
/// Every defect is a ModelError of one line.
Weights read_weights(const std::string& dir, const std::string& prefix, bool sequential);

/// The tensor of that name and shape, in `dtype`; `dir` is named if it is missing.
at::Tensor take_weight(const Weights& weights, const std::string& name, const std::vector<int64_t>& shape,
                       at::ScalarType dtype, const std::string& dir);

}  // namespace cllm
