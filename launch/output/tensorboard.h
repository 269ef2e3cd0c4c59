#pragma once

// TensorBoard event files: TFRecord framing around protobuf messages, both written by hand. Format: README.md.

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace cllm {

/// CRC-32C (Castagnoli), reflected, as in RFC 3720.
uint32_t crc32c(std::string_view bytes);

/// length, masked CRC of the length, bytes, masked CRC of the bytes.
std::string tfrecord(std::string_view bytes);

/// Event{wall_time, file_version: "brain.Event:2"}, which opens every file.
std::string first_event(double wall_time_s);

/// Event{wall_time, step, summary: one simple_value per (tag, value)}.
std::string scalar_event(double wall_time_s, int64_t step, const std::vector<std::pair<std::string, double>>& values);

/// How many leading bytes of an event file hold whole, undamaged records up to and including `last_step`.
uint64_t events_up_to(std::string_view file, int64_t last_step);

}  // namespace cllm
