#pragma once

// One HDF5 file of a corpus: contiguous, uncompressed, little-endian one-dimensional datasets, written whole and read
// by mapping.

#include <concepts>
#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "data/corpus/files.h"

namespace cllm {

enum class ElementType { kUint8, kInt32, kInt64, kFloat32 };

template <typename T>
constexpr ElementType element_type() {
  static_assert(std::same_as<T, uint8_t> || std::same_as<T, int32_t> || std::same_as<T, int64_t> ||
                std::same_as<T, float>);
  return std::same_as<T, uint8_t>   ? ElementType::kUint8
         : std::same_as<T, int32_t> ? ElementType::kInt32
         : std::same_as<T, int64_t> ? ElementType::kInt64
                                    : ElementType::kFloat32;
}

/// A dataset to be written; a view of the caller's values.
struct DatasetView {
  std::string name;
  ElementType type;
  const void* data;
  uint64_t count;

  template <typename T>
  DatasetView(std::string dataset_name, std::span<const T> values)
      : name(std::move(dataset_name)), type(element_type<T>()), data(values.data()), count(values.size()) {}
};

/// The same values give the same bytes: no time stamps, one fixed library version's format.
void write_shard(const std::filesystem::path& path, std::span<const DatasetView> datasets);

/// What a dataset must be; without a count any length that fits into the file.
struct DatasetSpec {
  std::string name;
  ElementType type;
  std::optional<uint64_t> count;
};

class ShardFile {
 public:
  /// Opens, checks every dataset of specs (type, shape, layout, place inside the file) and maps the file. DataError
  /// otherwise.
  static ShardFile open(const std::filesystem::path& path, uint64_t expected_bytes, std::span<const DatasetSpec> specs);

  /// A dataset named in specs, of the type named there.
  template <typename T>
  std::span<const T> dataset(std::string_view name) const {
    const Place& place = places_.find(name)->second;
    return {reinterpret_cast<const T*>(file_.bytes().data() + place.offset), place.count};
  }

 private:
  struct Place {
    uint64_t offset;
    uint64_t count;
  };
  MappedFile file_;
  std::map<std::string, Place, std::less<>> places_;
};

}  // namespace cllm
