#include <algorithm>

#include "data/ingest/files/input_files.h"

namespace cllm {
namespace {

namespace fs = std::filesystem;

bool is_hidden(const std::string& name) { return name.starts_with('.') || name.starts_with('_'); }

bool is_parquet(const std::string& name) { return name.ends_with(".parquet") || name.ends_with(".pq"); }

std::string without_digits(std::string name) {
  std::erase_if(name, [](char c) { return c >= '0' && c <= '9'; });
  return name;
}

}  // namespace

std::vector<fs::path> parquet_parts(const fs::path& path) {
  if (fs::is_regular_file(path)) return {path};
  std::vector<fs::path> parts;
  std::error_code ignored;
  for (fs::recursive_directory_iterator at(path, ignored), end; at != end; at.increment(ignored)) {
    const std::string name = at->path().filename().string();
    if (is_hidden(name) && at->is_directory()) at.disable_recursion_pending();  // _temporary, .ipynb_checkpoints
    if (!is_hidden(name) && is_parquet(name) && at->is_regular_file()) parts.push_back(at->path());
  }
  std::sort(parts.begin(), parts.end(), comes_before);
  return parts;
}

bool is_parquet_folder(const fs::path& path) {
  if (!fs::is_directory(path)) return false;
  if (is_parquet(path.filename().string())) return true;
  std::string first;
  for (const auto& entry : fs::directory_iterator(path)) {
    const std::string name = entry.path().filename().string();
    if (is_hidden(name)) continue;
    const bool key = entry.is_directory() && name.find('=') != std::string::npos;
    if (!key && !is_parquet(name)) return false;
    const std::string kind = key                                                      ? name.substr(0, name.find('='))
                             : name.starts_with("part-") || name.starts_with("part.") ? "part"
                                                                                      : without_digits(name);
    if (!key && kind == name) return false;  // no number: a table of its own
    if (!first.empty() && first != kind) return false;
    first = kind;
  }
  return !first.empty() && !parquet_parts(path).empty();
}

}  // namespace cllm
