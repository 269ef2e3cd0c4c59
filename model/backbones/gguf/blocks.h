#pragma once

#include <cstdint>
#include <string_view>

namespace cllm {

/// One of ggml's types: values lie in blocks (MODELS.md §33).
struct GgmlType {
  const char* name;
  int64_t values, bytes;  // of a block
  void (*unpack)(const uint8_t* block, float* out);
};

/// F32, F16, BF16, Q4_0, Q4_1, Q5_0, Q5_1, Q8_0, Q2_K to Q6_K by ggml's number; nullptr for any other.
const GgmlType* ggml_type(uint32_t number);

}  // namespace cllm
