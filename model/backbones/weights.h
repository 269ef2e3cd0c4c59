#pragma once

#include <ATen/core/Tensor.h>

#include <array>
#include <functional>
#include <map>
#include <string>
#include <utility>
#include <vector>

namespace cllm {

/// A tensor of a folder, the file it is in and its name there.
struct Weight {
  at::Tensor tensor;
  std::string file, name;
  bool is_mapped = false;  // a view of the file
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

/// The tensor of that name and shape, in `dtype`; `dir` is named if it is missing. NaN and infinity are a ModelError. A
/// mapped one is converted piece by piece, so that the file and what is made of it are never both in memory.
at::Tensor take_weight(const Weights& weights, const std::string& name, const std::vector<int64_t>& shape,
                       at::ScalarType dtype, const std::string& dir);

/// Parts of the names of a family's matrices that no product reads, or whose rounding costs too much; nullptr: no more.
using PreciseNames = std::array<const char*, 2>;

/// Dtypes of parameters. Where `compute` is bf16 nothing is trained, and matrices are held in it alone.
struct HeldIn {
  at::ScalarType parameters, compute;
  PreciseNames precise = {};
};

/// Of a tensor: in bf16 `compute` for a matrix that is not precise, else `parameters`.
at::ScalarType held_dtype(const HeldIn& held, const std::string& name, size_t dimensions);

/// All tensors of these names and shapes, in their order. Every other tensor of the folder must be `ignored`, else it
/// is a ModelError that says it is no part of `model`.
std::vector<std::pair<std::string, at::Tensor>> take_weights(
    const Weights& weights, const std::vector<std::pair<std::string, std::vector<int64_t>>>& shapes, const HeldIn& held,
    const std::string& dir, const std::function<bool(const std::string& name, const Weight& found)>& ignored,
    const std::string& model);

/// Whether a head holds the values of the word embedding that config.json ties it to. Where it does not: a ModelError.
bool is_tied_head(const Weight& head, const at::Tensor& words);

}  // namespace cllm
