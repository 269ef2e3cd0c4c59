#pragma once

#include "model/backbones/family.h"

namespace cllm {

extern const Family kT5Family;

}  // namespace cllm
