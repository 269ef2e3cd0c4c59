#pragma once

#include "model/backbones/family.h"

namespace cllm {

extern const Family kBertFamily;

}  // namespace cllm
