#pragma once

#include <string>

namespace cllm {

/// A folder without model.safetensors: ModelError that names the weights of another format that are there (PyTorch,
/// TensorFlow, Flax, GGUF, an adapter, shards without their index) and the command that converts them. Returns if there
/// is nothing of the kind.
void refuse_other_formats(const std::string& dir);

}  // namespace cllm
