#pragma once

#include <nlohmann/json.hpp>

#include "data/gguf.h"

namespace cllm {

/// The tokenizer.json that a GGUF file's metadata (tokenizer.ggml.*) stands for: byte-level BPE ("gpt2": gpt-2, smollm,
/// llama-bpe, qwen2, tekken) and SentencePiece's BPE by scores ("llama"). DataError for any other kind.
nlohmann::json tokenizer_json_of(const GgufFile& file);

}  // namespace cllm
