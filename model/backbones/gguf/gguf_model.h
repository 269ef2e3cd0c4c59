#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "model/backbones/weights.h"

namespace cllm {

/// Is it a GGUF file, not a Hugging Face folder?
bool is_gguf(const std::string& path);

/// The config.json that a GGUF file's metadata stands for: architectures gpt2, llama (also Mistral, SmolLM2), qwen2,
/// qwen3 and gemma3. ModelError (file, key, value) for others.
nlohmann::json gguf_config(const std::string& path);

/// All tensors by their Hugging Face names without prefix, in fp32 (matrices by `held`, one after the other, if that is
/// bf16): blocks are unpacked, Llama's rows of q and k put back into order, Gemma's 1 + w made w, GPT-2's matrices
/// transposed. `words`: only these rows of the word tables, in this order, are unpacked; empty: all. ModelError for a
/// name or type that is not known, or a row that is not there.
Weights gguf_weights(const std::string& path, const std::vector<int32_t>& words = {},
                     const HeldIn& held = {at::kFloat, at::kFloat});

}  // namespace cllm
