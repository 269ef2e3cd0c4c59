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
/// come with or without `prefix`, and with what training frameworks wrap around modules (torch.compile, DDP, FSDP,
/// Lightning). Tensors are views of the mapped files (safetensors.h). `sequential`: read ahead. Every defect is a
/// ModelError of one line; weights in another format are named with the command that converts them.
Weights read_weights(const std::string& dir, const std::string& prefix, bool sequential);

/// Cuts a table, if it is there, to its first rows; one of fewer stays.
void keep_rows(Weights& weights, const std::string& name, int64_t num_rows);

/// Of a table, if it is there, only these rows in this order, in memory of their own. ModelError if it has no such row.
void pick_rows(Weights& weights, const std::string& name, const std::vector<int32_t>& rows);

/// The tensor of that name and shape, in `dtype`; `dir` is named if it is missing. NaN and infinity are a ModelError.
at::Tensor take_weight(const Weights& weights, const std::string& name, const std::vector<int64_t>& shape,
                       at::ScalarType dtype, const std::string& dir);

}  // namespace cllm
