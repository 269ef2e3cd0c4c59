#pragma once

#include "model/backbones/family.h"

namespace cllm {

extern const Family kLlamaFamily, kMistralFamily, kQwen2Family, kQwen3Family, kGemma3Family;

}  // namespace cllm
