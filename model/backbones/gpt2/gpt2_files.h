#pragma once

#include <memory>

#include "model/backbones/family.h"
#include "model/backbones/gpt2/gpt2.h"

namespace cllm {

/// GPT-2 in Hugging Face's files: model_type "gpt2", tensors named with or without `transformer.`.
extern const Family kGpt2Family;

}  // namespace cllm
