#pragma once

#include <string>
#include <string_view>

namespace cllm {

/// A folder without model.safetensors: ModelError that names the weights of another format that are there (PyTorch,
/// TensorFlow, Flax, GGUF, an adapter, shards without their index) and the command that converts them. Returns if there
/// is nothing of the kind.
void refuse_other_formats(const std::string& dir);

/// What a file is that begins with these bytes and is no safetensors file, and what to do.
std::string what_else(std::string_view begin);

}  // namespace cllm
