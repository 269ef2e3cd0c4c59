#pragma once

#include <string>

#include "model/tables/store.h"

namespace cllm {

/// Tells sets of frozen weights apart: names, shapes, and some thousand values of each tensor as bf16, so that it is the
/// same whatever they are computed in. "": nothing is frozen.
std::string fingerprint_of_frozen(const Store& store);

}  // namespace cllm
