#pragma once

#include "model/nn/heads/device_attention.h"

namespace cllm::device {

/// Attention as device_attention.h has it in fp32 or fp64, of libtorch's operators, with the site's mask and the whole
/// matrix of scores of some sequences at a time (64 M scores), which backward computes again.
at::Tensor exact_attention(const HeadTensors& of, const PackedLayout& layout, const GroupedHeads& heads,
                           const DropoutSite& site);

}  // namespace cllm::device
