#pragma once

#include "data/batch.h"
#include "model/backbone.h"

namespace cllm {

/// Layout of a batch's sequences on `device`. `dropout`: fill dropout_keys_T. output_rows_A stays undefined.
PackedLayout make_layout(const Batch& batch, at::Device device, bool dropout);

/// Layout of sequences of the given lengths, without dropout keys.
PackedLayout make_layout(const std::vector<int64_t>& lengths, at::Device device);

}  // namespace cllm
