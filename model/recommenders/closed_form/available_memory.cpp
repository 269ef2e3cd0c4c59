#include "model/recommenders/closed_form/available_memory.h"

#include <algorithm>
#include <fstream>
#include <optional>
#include <string>

namespace cllm {
namespace {

namespace fs = std::filesystem;

/// The number after `name` in a file of lines "name number ...".
std::optional<int64_t> number_of(const fs::path& path, const std::string& name) {
  std::ifstream file(path);
  for (std::string found, rest; file >> found; std::getline(file, rest)) {
    int64_t number = 0;
    if (found == name && file >> number) return number;
  }
  return std::nullopt;
}

/// The number that a file holds; none for "max".
std::optional<int64_t> number_in(const fs::path& path) {
  std::ifstream file(path);
  int64_t number = 0;
  if (file >> number) return number;
  return std::nullopt;
}

/// Where a version of control groups keeps what it knows of memory.
struct GroupFiles {
  const char *mount, *limit, *use, *droppable;
};
constexpr GroupFiles kVersion1{"sys/fs/cgroup/memory", "memory.limit_in_bytes", "memory.usage_in_bytes",
                               "total_inactive_file"};
constexpr GroupFiles kVersion2{"sys/fs/cgroup", "memory.max", "memory.current", "inactive_file"};

/// What a group and those around it leave. A container may see its group as the mount itself, whatever its name is.
int64_t left_by_groups(const fs::path& mount, fs::path group, const GroupFiles& files, int64_t available) {
  for (;; group = group.parent_path()) {
    const fs::path folder = mount / group;
    const auto limit = number_in(folder / files.limit), use = number_in(folder / files.use);
    if (limit && use) {
      const int64_t droppable = number_of(folder / "memory.stat", files.droppable).value_or(0);
      available = std::min(available, std::max<int64_t>(*limit - *use + droppable, 1));
    }
    if (group.empty()) return available;
  }
}

}  // namespace

int64_t available_memory(const fs::path& root) {
  int64_t available = number_of(root / "proc/meminfo", "MemAvailable:").value_or(0) * 1024;
  if (available == 0) return 0;
  std::ifstream groups(root / "proc/self/cgroup");  // "4:memory:/job", and of version 2 "0::/job"
  for (std::string line; std::getline(groups, line);) {
    const size_t first = line.find(':'), second = line.find(':', first + 1);
    if (second == std::string::npos) continue;
    const std::string controllers = "," + line.substr(first + 1, second - first - 1) + ",";
    const bool version2 = controllers == ",,";
    if (!version2 && controllers.find(",memory,") == std::string::npos) continue;
    const GroupFiles& files = version2 ? kVersion2 : kVersion1;
    available = left_by_groups(root / files.mount, fs::path(line.substr(second + 1)).relative_path(), files, available);
  }
  return available;
}

}  // namespace cllm
