#pragma once

#include <cstdint>
#include <filesystem>

namespace cllm {

/// Bytes that this process may still take without swapping: what the host can give (MemAvailable of /proc/meminfo), and
/// no more than the control groups of a job or a container leave (versions 1 and 2: limit less use, file pages that can
/// be dropped not counted). 0 where the host does not say. `root`: of the file system.
int64_t available_memory(const std::filesystem::path& root = "/");

}  // namespace cllm
