#include "model/backbones/safetensors.h"

#include <ATen/ops/empty.h>
#include <ATen/ops/from_blob.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <set>
#include <string_view>

#include "model/backbones/other_formats.h"
#include "model/errors.h"

namespace cllm {
namespace {

using Json = nlohmann::json;

// The format's own limit: a longer header is refused by every reader.
constexpr uint64_t kMaxHeaderBytes = 100'000'000;
constexpr int kMaxJsonDepth = 16;  // printing a value for a message recurses

struct DtypeName {
  std::string_view name;
  at::ScalarType dtype;
};
constexpr std::array<DtypeName, 10> kDtypes{{{"F64", at::kDouble},
                                             {"F32", at::kFloat},
                                             {"F16", at::kHalf},
                                             {"BF16", at::kBFloat16},
                                             {"I64", at::kLong},
                                             {"I32", at::kInt},
                                             {"I16", at::kShort},
                                             {"I8", at::kChar},
                                             {"U8", at::kByte},
                                             {"BOOL", at::kBool}}};

[[noreturn]] void refuse(const std::string& path, const std::string& what) { throw ModelError(path + ": " + what); }

[[noreturn]] void refuse_file(const std::string& path, const std::string& doing) {
  throw ModelError(path + ": cannot " + doing + ": " + std::strerror(errno));
}

/// A file descriptor that closes itself.
class Descriptor {
 public:
  explicit Descriptor(int fd) : fd_(fd) {}
  ~Descriptor() {
    if (fd_ >= 0) ::close(fd_);
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  int get() const { return fd_; }

 private:
  int fd_;
};

struct Mapping {
  std::shared_ptr<char> data;
  uint64_t size;
};

Mapping map_file(const std::string& path, bool sequential) {
  const Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (file.get() < 0) refuse_file(path, "open");
  struct stat status {};
  if (::fstat(file.get(), &status) != 0) refuse_file(path, "stat");
  const auto size = static_cast<uint64_t>(status.st_size);
  if (size < 8)
    refuse(path, "file of " + std::to_string(size) + " bytes is no safetensors file (at least 8); copy it again");
  void* data = ::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_NORESERVE, file.get(), 0);
  if (data == MAP_FAILED) refuse_file(path, "map");
  if (sequential) ::madvise(data, size, MADV_WILLNEED);
  return {std::shared_ptr<char>(static_cast<char*>(data), [size](char* p) { ::munmap(p, size); }), size};
}

/// Parses the header; the JSON library keeps the last of two equal keys, so duplicates are counted while parsing.
Json parse_header(const std::string& path, std::string_view text) {
  std::vector<std::set<std::string>> open;
  std::string duplicate;
  const auto watch = [&](int depth, Json::parse_event_t event, Json& parsed) {
    if (depth > kMaxJsonDepth) refuse(path, "header is nested too deeply; copy the file again");
    if (event == Json::parse_event_t::object_start) open.emplace_back();
    if (event == Json::parse_event_t::object_end) open.pop_back();
    if (event == Json::parse_event_t::key && !open.back().insert(parsed.get<std::string>()).second)
      duplicate = parsed.get<std::string>();
    return true;
  };
  Json header;
  try {
    header = Json::parse(text, watch);
  } catch (const Json::exception& error) {
    refuse(path, std::string("header is not valid JSON (") + error.what() + "); copy the file again");
  }
  if (!duplicate.empty()) refuse(path, "key '" + duplicate + "' occurs twice in the header; write the file again");
  if (!header.is_object()) refuse(path, "header is not a JSON object; copy the file again");
  return header;
}

std::vector<uint64_t> unsigned_list(const std::string& path, const std::string& name, const Json& entry,
                                    const char* key) {
  const auto found = entry.find(key);
  if (found == entry.end() || !found->is_array())
    refuse(path, "tensor '" + name + "' has no list '" + key + "'; write the file again");
  std::vector<uint64_t> values;
  for (const Json& value : *found) {
    if (!value.is_number_unsigned()) {
      refuse(path, "tensor '" + name + "': '" + key + "' holds " + value.dump() +
                       ", expected whole numbers >= 0; write the file again");
    }
    values.push_back(value.get<uint64_t>());
  }
  return values;
}

SafetensorsFile::Entry parse_entry(const std::string& path, const std::string& name, const Json& entry,
                                   uint64_t data_bytes) {
  if (!entry.is_object() || !entry.contains("dtype") || !entry["dtype"].is_string()) {
    refuse(path, "tensor '" + name + "' has no dtype; write the file again");
  }
  const auto dtype_name = entry["dtype"].get<std::string>();
  const auto* dtype =
      std::find_if(kDtypes.begin(), kDtypes.end(), [&](const DtypeName& d) { return d.name == dtype_name; });
  if (dtype == kDtypes.end()) {
    refuse(path, "tensor '" + name + "' has dtype " + dtype_name +
                     ", known are F64 F32 F16 BF16 I64 I32 I16 I8 U8 BOOL; convert the file");
  }
  const auto offsets = unsigned_list(path, name, entry, "data_offsets");
  if (offsets.size() != 2 || offsets[0] > offsets[1])
    refuse(path, "tensor '" + name + "': bad data_offsets; write the file again");
  if (offsets[1] > data_bytes) {
    refuse(path, "tensor '" + name + "' ends at byte " + std::to_string(offsets[1]) + " of the data, the file holds " +
                     std::to_string(data_bytes) + ": truncated; copy it again");
  }
  SafetensorsFile::Entry out{dtype->dtype, {}, offsets[0], offsets[1]};
  uint64_t expected = c10::elementSize(dtype->dtype);
  uint64_t strides = 1;  // of an empty tensor, too
  bool overflow = false;
  for (const uint64_t extent : unsigned_list(path, name, entry, "shape")) {
    overflow |= extent > INT64_MAX || __builtin_mul_overflow(expected, extent, &expected) ||
                __builtin_mul_overflow(strides, std::max<uint64_t>(extent, 1), &strides) || strides > INT64_MAX;
    out.shape.push_back(static_cast<int64_t>(extent));
  }
  if (overflow) refuse(path, "tensor '" + name + "': its shape overflows; write the file again");
  if (expected != offsets[1] - offsets[0]) {
    refuse(path, "tensor '" + name + "': shape and dtype need " + std::to_string(expected) +
                     " bytes, data_offsets give " + std::to_string(offsets[1] - offsets[0]) + "; write the file again");
  }
  return out;
}

/// The format demands that tensors cover the data without gaps or overlap.
void check_coverage(const std::string& path, const std::map<std::string, SafetensorsFile::Entry>& entries,
                    uint64_t data_bytes) {
  std::vector<std::pair<std::pair<uint64_t, uint64_t>, std::string>> ranges;
  for (const auto& [name, entry] : entries) ranges.push_back({{entry.begin, entry.end}, name});
  std::sort(ranges.begin(), ranges.end());
  uint64_t at = 0;
  std::string previous = "the header";
  for (const auto& [range, name] : ranges) {
    if (range.first != at) {
      refuse(path, "tensor '" + name + "' " + (range.first < at ? "overlaps '" : "leaves a gap after '") + previous +
                       "': starts at byte " + std::to_string(range.first) + ", expected " + std::to_string(at) +
                       "; write the file again");
    }
    at = range.second;
    previous = name;
  }
  if (at != data_bytes) {
    refuse(path,
           std::to_string(data_bytes - at) + " bytes follow the last tensor ('" + previous + "'); copy the file again");
  }
}

}  // namespace

SafetensorsFile::SafetensorsFile(const std::string& path, bool sequential) : path_(path) {
  const Mapping file = map_file(path, sequential);
  uint64_t header_bytes = 0;
  std::memcpy(&header_bytes, file.data.get(), 8);
  if (header_bytes > kMaxHeaderBytes || header_bytes > file.size - 8) {
    refuse(path, "header length " + std::to_string(header_bytes) + " does not fit a file of " +
                     std::to_string(file.size) +
                     " bytes: " + what_else(std::string_view(file.data.get(), std::min<uint64_t>(file.size, 64))));
  }
  mapping_ = file.data;
  mapped_bytes_ = file.size;
  data_begin_ = 8 + header_bytes;
  const uint64_t data_bytes = file.size - data_begin_;
  const Json header = parse_header(path, std::string_view(file.data.get() + 8, header_bytes));
  for (const auto& [name, value] : header.items()) {
    if (name != "__metadata__") {
      entries_.emplace(name, parse_entry(path, name, value, data_bytes));
      continue;
    }
    if (!value.is_object()) refuse(path, "__metadata__ is not an object; write the file again");
    for (const auto& [key, text] : value.items()) {
      if (!text.is_string()) refuse(path, "__metadata__ '" + key + "' is not a string; write the file again");
      metadata_[key] = text.get<std::string>();
    }
  }
  check_coverage(path, entries_, data_bytes);
}

std::vector<std::string> SafetensorsFile::names() const {
  std::vector<std::string> out;
  for (const auto& [name, entry] : entries_) out.push_back(name);
  std::stable_sort(out.begin(), out.end(),
                   [&](const auto& a, const auto& b) { return entries_.at(a).begin < entries_.at(b).begin; });
  return out;
}

at::Tensor SafetensorsFile::tensor(const std::string& name) const {
  const auto found = entries_.find(name);
  if (found == entries_.end()) refuse(path_, "tensor '" + name + "' is missing");
  const Entry& entry = found->second;
  char* data = mapping_.get() + data_begin_ + entry.begin;
  const at::TensorOptions options = at::TensorOptions().dtype(entry.dtype);
  const at::Tensor view = at::from_blob(
      data, entry.shape, [keep = mapping_](void*) {}, options);
  // Files whose header was not padded to 8 bytes: kernels may not read misaligned elements.
  const bool aligned = reinterpret_cast<uintptr_t>(data) % c10::elementSize(entry.dtype) == 0;
  if (aligned || entry.end == entry.begin) return view;
  at::Tensor copy = at::empty(entry.shape, options);
  std::memcpy(copy.mutable_data_ptr(), data, entry.end - entry.begin);
  return copy;
}

namespace {

void write_all(const std::string& path, int fd, const void* data, size_t bytes) {
  const char* at = static_cast<const char*>(data);
  while (bytes > 0) {
    const ssize_t written = ::write(fd, at, bytes);
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) refuse_file(path, "write");
    at += written;
    bytes -= static_cast<size_t>(written);
  }
}

std::string header_of(const NamedTensors& ordered, const std::string& path,
                      const std::map<std::string, std::string>& metadata) {
  nlohmann::ordered_json header = nlohmann::ordered_json::object();
  if (!metadata.empty()) header["__metadata__"] = metadata;
  uint64_t at = 0;
  for (const auto& [name, tensor] : ordered) {
    const auto* dtype = std::find_if(kDtypes.begin(), kDtypes.end(),
                                     [&t = tensor](const DtypeName& d) { return d.dtype == t.scalar_type(); });
    if (dtype == kDtypes.end()) refuse(path, "tensor '" + name + "' has a dtype that safetensors does not know");
    if (header.contains(name)) refuse(path, "tensor '" + name + "' is given twice");
    header[name] = {
        {"dtype", dtype->name}, {"shape", tensor.sizes().vec()}, {"data_offsets", {at, at + tensor.nbytes()}}};
    at += tensor.nbytes();
  }
  std::string text = header.dump();
  text.append((8 - text.size() % 8) % 8, ' ');
  return text;
}

}  // namespace

void write_safetensors(const std::string& path, const NamedTensors& tensors,
                       const std::map<std::string, std::string>& metadata) {
  NamedTensors ordered = tensors;
  std::sort(ordered.begin(), ordered.end(), [](const auto& a, const auto& b) {
    if (a.second.element_size() != b.second.element_size()) return a.second.element_size() > b.second.element_size();
    return a.first < b.first;
  });
  const std::string header = header_of(ordered, path, metadata);
  const std::string temporary = path + ".tmp";
  {
    const Descriptor file(::open(temporary.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666));
    if (file.get() < 0) refuse_file(temporary, "create");
    const uint64_t header_bytes = header.size();
    write_all(temporary, file.get(), &header_bytes, 8);
    write_all(temporary, file.get(), header.data(), header.size());
    for (const auto& [name, tensor] : ordered) {
      const at::Tensor bytes = tensor.detach().cpu().contiguous();
      write_all(temporary, file.get(), bytes.const_data_ptr(), bytes.nbytes());
    }
    if (::fsync(file.get()) != 0) refuse_file(temporary, "sync");
  }
  if (::rename(temporary.c_str(), path.c_str()) != 0) refuse_file(path, "rename the finished file to");
  const std::string folder = std::filesystem::path(path).parent_path().string();
  const Descriptor directory(::open(folder.empty() ? "." : folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (directory.get() < 0 || ::fsync(directory.get()) != 0) refuse_file(folder, "sync");
}

}  // namespace cllm
