// GGUF: "GGUF", u32 version, u64 tensors, u64 keys; keys; tensor infos; then the data at the next multiple of
// general.alignment (ggml/include/gguf.h).

#include "data/gguf.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstring>

#include "data/errors.h"

namespace cllm {
namespace {

/// Names in a file may have anything in them.
std::string on_one_line(std::string text) {
  std::ranges::replace_if(
      text, [](unsigned char c) { return c < 0x20 || c == 0x7F; }, '?');
  return text;
}

using nlohmann::json;

constexpr uint64_t kMaxDimensions = 4;
constexpr int kMaxNesting = 2;  // arrays of arrays

enum ValueType : uint32_t { kU8, kI8, kU16, kI16, kU32, kI32, kF32, kBool, kString, kArray, kU64, kI64, kF64 };

/// Reads on from a place; nothing behind the end.
class Cursor {
 public:
  Cursor(const char* bytes, uint64_t size, const std::string& path) : bytes_(bytes), size_(size), path_(path) {}

  uint64_t place() const { return place_; }

  template <typename T>
  T value() {
    T out;
    std::memcpy(&out, take(sizeof(T)), sizeof(T));
    return out;
  }

  std::string text() {
    const uint64_t length = value<uint64_t>();
    return std::string(take(length), length);
  }

  json any(uint32_t type, const std::string& key, int depth = 0) {
    switch (type) {
      case kU8: return value<uint8_t>();
      case kI8: return value<int8_t>();
      case kU16: return value<uint16_t>();
      case kI16: return value<int16_t>();
      case kU32: return value<uint32_t>();
      case kI32: return value<int32_t>();
      case kF32: return value<float>();
      case kBool: return value<uint8_t>() != 0;
      case kString: return text();
      case kU64: return value<uint64_t>();
      case kI64: return value<int64_t>();
      case kF64: return value<double>();
      case kArray: return array(key, depth);
      default: refuse("key '" + key + "' has a value of type " + std::to_string(type) + ", known are 0 to 12");
    }
  }

  [[noreturn]] void refuse(const std::string& what) const {
    throw DataError(path_ + ": " + on_one_line(what) + "; download the file again");
  }

 private:
  json array(const std::string& key, int depth) {
    if (depth >= kMaxNesting) refuse("key '" + key + "' has arrays in arrays in arrays");
    const uint32_t type = value<uint32_t>();
    const uint64_t count = value<uint64_t>();
    if (count > size_ - place_) refuse("key '" + key + "' has " + std::to_string(count) + " values, more than bytes");
    json list = json::array();
    for (uint64_t n = 0; n < count; ++n) list.push_back(any(type, key, depth + 1));
    return list;
  }

  const char* take(uint64_t size) {
    if (size > size_ - place_) refuse("ends in the middle of its header, at byte " + std::to_string(size_));
    const char* at = bytes_ + place_;
    place_ += size;
    return at;
  }

  const char* bytes_;
  uint64_t size_, place_ = 0;
  const std::string& path_;
};

std::shared_ptr<const char> map_file(const std::string& path, uint64_t& size) {
  const int file = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (file < 0) throw DataError(path + ": cannot open: " + std::strerror(errno));
  struct stat status {};
  const bool known = fstat(file, &status) == 0 && S_ISREG(status.st_mode) && status.st_size > 0;
  void* mapped =
      known ? mmap(nullptr, static_cast<size_t>(status.st_size), PROT_READ, MAP_PRIVATE, file, 0) : MAP_FAILED;
  ::close(file);
  if (mapped == MAP_FAILED) throw DataError(path + ": cannot be mapped; is it a file with something in it?");
  size = static_cast<uint64_t>(status.st_size);
  return {static_cast<const char*>(mapped), [size](const char* bytes) { munmap(const_cast<char*>(bytes), size); }};
}

GgufFile::TensorInfo read_info(Cursor& in, const std::string& name) {
  GgufFile::TensorInfo info;
  const uint32_t dimensions = in.value<uint32_t>();
  if (dimensions == 0 || dimensions > kMaxDimensions)
    in.refuse("tensor '" + name + "' has " + std::to_string(dimensions) + " dimensions");
  int64_t total = 1;
  for (uint32_t d = 0; d < dimensions; ++d) {
    const int64_t extent = in.value<int64_t>();
    constexpr int64_t kMost = int64_t{1} << 40;
    if (extent <= 0 || extent > kMost / total)
      in.refuse("tensor '" + name + "' has an extent of " + std::to_string(extent));
    total *= extent;
    info.shape.insert(info.shape.begin(), extent);
  }
  info.type = in.value<uint32_t>();
  info.offset = in.value<uint64_t>();
  return info;
}

}  // namespace

GgufFile::GgufFile(const std::string& path) : path_(path), mapping_(map_file(path, size_)) {
  Cursor in(mapping_.get(), size_, path_);
  char magic[4];
  for (char& c : magic) c = in.value<char>();
  if (std::string_view(magic, 4) != "GGUF") throw DataError(path_ + ": does not begin with 'GGUF'");
  const uint32_t version = in.value<uint32_t>();
  if (version == 0x02000000 || version == 0x03000000) throw DataError(path_ + ": is big endian; convert it again");
  if (version != 2 && version != 3)
    throw DataError(path_ + ": has version " + std::to_string(version) + "; known are 2 and 3");
  const uint64_t num_tensors = in.value<uint64_t>(), num_keys = in.value<uint64_t>();
  for (uint64_t n = 0; n < num_keys; ++n) {
    const std::string key = in.text();
    const uint32_t type = in.value<uint32_t>();
    if (!metadata_.emplace(key, in.any(type, key)).second) in.refuse("key '" + key + "' occurs twice");
  }
  for (uint64_t n = 0; n < num_tensors; ++n) {
    const std::string name = in.text();
    if (!tensors_.emplace(name, read_info(in, name)).second) in.refuse("tensor '" + name + "' occurs twice");
  }
  const int64_t alignment = count("general.alignment", 32);
  if (alignment <= 0 || alignment > (1 << 20) || (alignment & (alignment - 1)) != 0)
    in.refuse("general.alignment is " + std::to_string(alignment));
  const uint64_t step = static_cast<uint64_t>(alignment), data = (in.place() + step - 1) / step * step;
  for (auto& [name, info] : tensors_) {
    if (info.offset % step != 0 || info.offset > size_)
      in.refuse("tensor '" + name + "' has the offset " + std::to_string(info.offset));
    info.offset += data;
  }
}

void GgufFile::refuse(const std::string& what) const { throw DataError(path_ + ": " + on_one_line(what)); }

int64_t GgufFile::count(const std::string& key, int64_t otherwise) const {
  if (!has(key)) return otherwise;
  if (!metadata_[key].is_number_integer()) refuse(key + " is not a whole number");
  return metadata_[key].get<int64_t>();
}

double GgufFile::number(const std::string& key, double otherwise) const {
  if (!has(key)) return otherwise;
  const json& value = metadata_[key];
  if (!value.is_number() || !std::isfinite(value.get<double>())) refuse(key + " is not a number");
  return value.get<double>();
}

bool GgufFile::flag(const std::string& key, bool otherwise) const {
  if (!has(key)) return otherwise;
  if (!metadata_[key].is_boolean()) refuse(key + " is neither true nor false");
  return metadata_[key].get<bool>();
}

std::string GgufFile::text(const std::string& key, const std::string& otherwise) const {
  if (!has(key)) return otherwise;
  if (!metadata_[key].is_string()) refuse(key + " is not a text");
  return metadata_[key].get<std::string>();
}

std::string_view GgufFile::bytes(uint64_t offset, uint64_t size, const std::string& what) const {
  if (offset > size_ || size > size_ - offset)
    refuse(what + " needs " + std::to_string(size) + " bytes at " + std::to_string(offset) + ", the file has " +
           std::to_string(size_) + ": it was cut; download it again");
  return {mapping_.get() + offset, size};
}

}  // namespace cllm
