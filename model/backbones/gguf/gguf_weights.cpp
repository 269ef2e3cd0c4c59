// Names: llama.cpp's gguf-py/gguf/tensor_mapping.py; what its conversion changes: conversion/{llama,gemma,gpt2}.py.

#include <ATen/Parallel.h>
#include <ATen/ops/empty.h>

#include <algorithm>
#include <charconv>
#include <map>
#include <optional>

#include "data/errors.h"
#include "data/gguf.h"
#include "model/backbones/gguf/blocks.h"
#include "model/backbones/gguf/gguf_model.h"
#include "model/errors.h"

namespace cllm {
namespace {

using Names = std::map<std::string, std::string>;

const Names kDecoderNames = {{"token_embd", "embed_tokens"}, {"output_norm", "norm"}, {"output", "lm_head"}};
const Names kDecoderBlock = {{"attn_norm", "input_layernorm"},    {"ffn_norm", "post_attention_layernorm"},
                             {"attn_q", "self_attn.q_proj"},      {"attn_k", "self_attn.k_proj"},
                             {"attn_v", "self_attn.v_proj"},      {"attn_output", "self_attn.o_proj"},
                             {"attn_q_norm", "self_attn.q_norm"}, {"attn_k_norm", "self_attn.k_norm"},
                             {"ffn_gate", "mlp.gate_proj"},       {"ffn_up", "mlp.up_proj"},
                             {"ffn_down", "mlp.down_proj"}};
const Names kGemmaBlock = {{"ffn_norm", "pre_feedforward_layernorm"},
                           {"post_attention_norm", "post_attention_layernorm"},
                           {"post_ffw_norm", "post_feedforward_layernorm"}};
const Names kGpt2Names = {
    {"token_embd", "wte"}, {"position_embd", "wpe"}, {"output_norm", "ln_f"}, {"output", "lm_head"}};
const Names kGpt2Block = {{"attn_norm", "ln_1"},          {"ffn_norm", "ln_2"},   {"attn_qkv", "attn.c_attn"},
                          {"attn_output", "attn.c_proj"}, {"ffn_up", "mlp.c_fc"}, {"ffn_down", "mlp.c_proj"}};

std::optional<std::string> look_up(const Names& names, const std::string& name) {
  const auto found = names.find(name);
  return found == names.end() ? std::nullopt : std::optional(found->second);
}

/// Hugging Face's name without prefix of "blk.3.attn_q.weight".
std::optional<std::string> hugging_face_name(const std::string& architecture, const std::string& name) {
  const size_t dot = name.rfind('.');
  if (dot == std::string::npos) return std::nullopt;
  const std::string stem = name.substr(0, dot), kind = name.substr(dot);
  const bool gpt2 = architecture == "gpt2";
  if (!stem.starts_with("blk.")) {
    const auto plain = look_up(gpt2 ? kGpt2Names : kDecoderNames, stem);
    return plain ? std::optional(*plain + kind) : std::nullopt;
  }
  const size_t end = stem.find('.', 4);
  if (end == std::string::npos) return std::nullopt;
  const std::string layer = stem.substr(4, end - 4), part = stem.substr(end + 1);
  std::optional<std::string> found;
  if (architecture == "gemma3") found = look_up(kGemmaBlock, part);
  if (!found) found = look_up(gpt2 ? kGpt2Block : kDecoderBlock, part);
  if (!found) return std::nullopt;
  return (gpt2 ? "h." : "layers.") + layer + "." + *found + kind;
}

/// `rows`: of a matrix, those that are wanted; empty: all.
at::Tensor unpacked(const GgufFile& file, const std::string& name, const GgufFile::TensorInfo& info,
                    const std::vector<int32_t>& rows) {
  const GgmlType* type = ggml_type(info.type);
  if (type == nullptr)
    file.refuse("tensor '" + name + "' has ggml's type " + std::to_string(info.type) +
                "; known are F32, F16, BF16, Q4_0, Q4_1, Q5_0, Q5_1, Q8_0, Q2_K to Q6_K: convert the model to one");
  if (info.shape.back() % type->values != 0)
    file.refuse("tensor '" + name + "' has rows of " + std::to_string(info.shape.back()) + " values, no multiple of " +
                std::to_string(type->values) + " as " + type->name + " needs");
  int64_t values = 1;
  for (const int64_t extent : info.shape) values *= extent;
  const int64_t blocks = values / type->values;
  const std::string_view bytes =
      file.bytes(info.offset, static_cast<uint64_t>(blocks * type->bytes), "tensor '" + name + "'");
  const int64_t of_row = std::max<int64_t>(1, info.shape.back() / type->values), all_rows = blocks / of_row;
  const auto row_of = [&](int64_t n) { return rows.empty() ? n : rows[static_cast<size_t>(n)]; };
  std::vector<int64_t> shape = info.shape;
  if (!rows.empty()) {
    if (const int32_t last = *std::ranges::max_element(rows); last >= all_rows || shape.size() != 2)
      file.refuse("tensor '" + name + "' has " + std::to_string(all_rows) + " rows, and word " + std::to_string(last) +
                  " is used; take its tokenizer from the same model");
    shape[0] = std::ssize(rows);
  }
  at::Tensor out = at::empty(shape, at::kFloat);
  const auto* from = reinterpret_cast<const uint8_t*>(bytes.data());
  float* to = out.data_ptr<float>();
  constexpr int64_t kGrain = 1 << 14;
  const int64_t num_blocks = out.numel() / type->values;
  at::parallel_for(0, num_blocks, std::max<int64_t>(1, kGrain / type->values), [&](int64_t begin, int64_t end) {
    for (int64_t block = begin; block < end; ++block) {
      const int64_t there = row_of(block / of_row) * of_row + block % of_row;
      type->unpack(from + there * type->bytes, to + block * type->values);
    }
  });
  return out;
}

/// Rows of every head: pairs (m, m + hd / 2) lie side by side in the file.
at::Tensor in_halves(const GgufFile& file, const std::string& name, const at::Tensor& rows, int64_t heads) {
  const int64_t all = rows.size(0);
  if (heads <= 0 || all % (2 * heads) != 0)
    file.refuse("tensor '" + name + "' has " + std::to_string(all) + " rows for " + std::to_string(heads) + " heads");
  return rows.reshape({heads, all / heads / 2, 2, -1}).transpose(1, 2).reshape(rows.sizes()).contiguous();
}

at::Tensor as_hugging_face(const GgufFile& file, const std::string& architecture, const std::string& name,
                           at::Tensor tensor) {
  if (architecture == "llama") {
    const int64_t heads = file.count("llama.attention.head_count", 0);
    if (name.find(".attn_q.") != std::string::npos) return in_halves(file, name, tensor, heads);
    if (name.find(".attn_k.") != std::string::npos)
      return in_halves(file, name, tensor, file.count("llama.attention.head_count_kv", heads));
  }
  if (architecture == "gemma3" && name.ends_with("norm.weight")) return tensor.sub_(1);
  const bool matrix = tensor.dim() == 2 && name.starts_with("blk.");
  if (architecture == "gpt2" && matrix) return tensor.t().contiguous();
  return tensor;
}

[[noreturn]] void refuse_tensor(const GgufFile& file, const std::string& name, const std::string& architecture) {
  file.refuse("tensor '" + name + "' is not known in a model of architecture " + architecture);
}

Weights weights_of(const GgufFile& file, const std::vector<int32_t>& words, const HeldIn& held) {
  const std::string architecture = file.text("general.architecture", "");
  Weights weights;
  for (const auto& [name, info] : file.tensors()) {
    if (name == "rope_freqs.weight") continue;  // is in the configuration
    const std::optional<std::string> plain = hugging_face_name(architecture, name);
    if (!plain) refuse_tensor(file, name, architecture);
    const bool of_words = name == "token_embd.weight" || name == "output.weight";
    at::Tensor tensor = unpacked(file, name, info, of_words ? words : std::vector<int32_t>{});
    tensor = as_hugging_face(file, architecture, name, std::move(tensor));
    if (held_dtype(held, *plain, info.shape.size()) == at::kBFloat16) tensor = tensor.to(at::kBFloat16);
    weights[*plain] = {std::move(tensor), file.path(), name};
  }
  return weights;
}

}  // namespace

Weights gguf_weights(const std::string& path, const std::vector<int32_t>& words, const HeldIn& held) {
  try {
    return weights_of(GgufFile(path), words, held);
  } catch (const DataError& error) {
    throw ModelError(error.what());
  }
}

}  // namespace cllm
