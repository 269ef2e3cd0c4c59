#include "data/plugin.h"

#include <dlfcn.h>

#include <filesystem>

namespace cllm {

void* open_plugin(const std::string& name, bool isolated, std::string& problem) {
  namespace fs = std::filesystem;
  std::error_code error;
  fs::path folder = fs::read_symlink("/proc/self/exe", error).parent_path();
  for (int up = 0; up < 3; ++up, folder = folder.parent_path()) {
    const fs::path file = folder / name;
    if (!fs::exists(file, error)) continue;
    void* const module = dlopen(file.c_str(), RTLD_NOW | RTLD_LOCAL | (isolated ? RTLD_DEEPBIND : 0));
    if (module == nullptr) problem = dlerror();
    return module;
  }
  return nullptr;
}

}  // namespace cllm
