#pragma once

#include <cstdint>
#include <vector>

namespace cllm {

/// One sample of a global batch, before it is packed.
struct Sequence {
  std::vector<int32_t> prompt = {};     // token ids; carries no loss
  std::vector<int32_t> main = {};       // token ids: items only (L) or words only (C); empty in F
  std::vector<int32_t> targets = {};    // item indices 0 .. J-1: F; L with a set target: those that main leaves out
  int32_t shown = 0;                    // last tokens of the prompt that are main text to a decoder beside an encoder
  int32_t group = 0;                    // group of the global batch
  uint64_t key = 0;                     // Batch::sequence_keys
  int64_t user = -1;                    // L and F
  std::vector<int32_t> positions = {};  // of main that are trained, ascending; empty: all

  friend bool operator==(const Sequence&, const Sequence&) = default;
};

}  // namespace cllm
