#include "launch/output/tensorboard.h"

#include <array>
#include <bit>
#include <cstring>

namespace cllm {
namespace {

static_assert(std::endian::native == std::endian::little, "records are little-endian");

template <typename T>
std::string fixed(T value) {
  return {reinterpret_cast<const char*>(&value), sizeof value};
}

template <typename T>
T fixed_at(std::string_view bytes, size_t offset) {
  T value;
  std::memcpy(&value, bytes.data() + offset, sizeof value);
  return value;
}

std::string varint(uint64_t value) {
  std::string out;
  for (; value >= 0x80; value >>= 7) out += static_cast<char>(value | 0x80);
  return out + static_cast<char>(value);
}

// Protobuf wire types.
enum Wire : uint32_t { kVarint = 0, kFixed64 = 1, kBytes = 2, kFixed32 = 5 };

std::string key(uint32_t field, Wire wire) { return varint(field << 3 | wire); }
std::string message(uint32_t field, const std::string& bytes) {
  return key(field, kBytes) + varint(bytes.size()) + bytes;
}

std::array<uint32_t, 256> crc_table() {
  std::array<uint32_t, 256> table{};
  for (uint32_t byte = 0; byte < 256; ++byte) {
    uint32_t crc = byte;
    for (int bit = 0; bit < 8; ++bit) crc = crc >> 1 ^ (crc & 1 ? 0x82F63B78u : 0);
    table[byte] = crc;
  }
  return table;
}

/// The rotation and constant that TensorFlow adds so that a CRC of data that holds CRCs stays useful.
uint32_t masked_crc(std::string_view bytes) {
  const uint32_t crc = crc32c(bytes);
  return (crc >> 15 | crc << 17) + 0xA282EAD8u;
}

/// Event.step of an event that this file wrote: wall_time (9 bytes) first, then the step, if any.
int64_t step_of(std::string_view event) {
  constexpr size_t kStepAt = 9;
  if (event.size() <= kStepAt || event.substr(kStepAt, 1) != key(2, kVarint)) return 0;
  uint64_t step = 0;
  for (size_t i = kStepAt + 1, shift = 0; i < event.size() && shift < 64; ++i, shift += 7) {
    step |= static_cast<uint64_t>(event[i] & 0x7F) << shift;
    if (!(event[i] & 0x80)) break;
  }
  return static_cast<int64_t>(step);
}

}  // namespace

uint32_t crc32c(std::string_view bytes) {
  static const std::array<uint32_t, 256> kTable = crc_table();
  uint32_t crc = ~0u;
  for (char c : bytes) crc = crc >> 8 ^ kTable[(crc ^ static_cast<uint8_t>(c)) & 0xFF];
  return ~crc;
}

std::string tfrecord(std::string_view bytes) {
  const std::string length = fixed(static_cast<uint64_t>(bytes.size()));
  return length + fixed(masked_crc(length)) + std::string(bytes) + fixed(masked_crc(bytes));
}

std::string first_event(double wall_time_s) {
  return key(1, kFixed64) + fixed(wall_time_s) + message(3, "brain.Event:2");
}

std::string scalar_event(double wall_time_s, int64_t step, const std::vector<std::pair<std::string, double>>& values) {
  std::string summary;
  for (const auto& [tag, value] : values) {
    summary += message(1, message(1, tag) + key(2, kFixed32) + fixed(static_cast<float>(value)));
  }
  return key(1, kFixed64) + fixed(wall_time_s) + key(2, kVarint) + varint(static_cast<uint64_t>(step)) +
         message(5, summary);
}

uint64_t events_up_to(std::string_view file, int64_t last_step) {
  constexpr size_t kHeader = 12, kFooter = 4;
  size_t end = 0;
  while (file.size() - end >= kHeader + kFooter) {
    const auto length = fixed_at<uint64_t>(file, end);
    if (length > file.size() - end - kHeader - kFooter) break;
    const std::string_view event = file.substr(end + kHeader, length);
    if (fixed_at<uint32_t>(file, end + kHeader + length) != masked_crc(event) || step_of(event) > last_step) break;
    end += kHeader + length + kFooter;
  }
  return end;
}

}  // namespace cllm
