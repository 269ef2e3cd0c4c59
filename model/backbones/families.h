#pragma once

#include "model/backbones/family.h"

namespace cllm {

/// The family of config.json's model_type; ModelError names those that are known.
const Family& family_of(const ConfigJson& file);

}  // namespace cllm
