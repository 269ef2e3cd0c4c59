#pragma once

#include <c10/core/ScalarType.h>

#include <cstdint>
#include <string_view>

namespace cllm {

/// The element types of a checkpoint and their names in manifest.json.
struct DtypeName {
  c10::ScalarType type;
  std::string_view name;
  int64_t num_bytes;
};
constexpr DtypeName kDtypes[] = {
    {c10::ScalarType::Float, "float32", 4},     {c10::ScalarType::Double, "float64", 8},
    {c10::ScalarType::BFloat16, "bfloat16", 2}, {c10::ScalarType::Half, "float16", 2},
    {c10::ScalarType::Long, "int64", 8},        {c10::ScalarType::Int, "int32", 4},
    {c10::ScalarType::Short, "int16", 2},       {c10::ScalarType::Char, "int8", 1},
    {c10::ScalarType::Byte, "uint8", 1},        {c10::ScalarType::Bool, "bool", 1},
};

constexpr const DtypeName* find_dtype(std::string_view name) {
  for (const DtypeName& dtype : kDtypes) {
    if (dtype.name == name) return &dtype;
  }
  return nullptr;
}

constexpr const DtypeName* find_dtype(c10::ScalarType type) {
  for (const DtypeName& dtype : kDtypes) {
    if (dtype.type == type) return &dtype;
  }
  return nullptr;
}

}  // namespace cllm
