#include <algorithm>

#include "data/errors.h"
#include "data/ingest/files/input_files.h"

namespace cllm {
namespace {

namespace fs = std::filesystem;

bool is_hidden(const std::string& name) { return name.starts_with('.') || name.starts_with('_'); }

bool is_parquet(const std::string& name) { return name.ends_with(".parquet") || name.ends_with(".pq"); }

/// The folder of a table whose own log says which of its files count; empty: of none.
std::string format_with_a_log(const fs::path& folder) {
  std::error_code ignored;
  if (fs::is_directory(folder / "_delta_log", ignored)) return "delta";
  if (fs::is_directory(folder / ".hoodie", ignored)) return "hudi";
  for (const auto& entry : fs::directory_iterator(folder / "metadata", ignored)) {
    if (entry.path().filename().string().ends_with(".metadata.json")) return "iceberg";
  }
  return "";
}

std::string without_digits(std::string name) {
  std::erase_if(name, [](char c) { return c >= '0' && c <= '9'; });
  return name;
}

std::vector<fs::path> parts_in(const fs::path& path) {
  if (const std::string format = format_with_a_log(path); !format.empty()) {
    throw DataError(path.string() + ": a table of the format " + format +
                    ", whose log says which of its files count; write it as plain Parquet, in Spark: "
                    "spark.read.format('" +
                    format + "').load('" + path.filename().string() + "').write.parquet('NEW')");
  }
  std::vector<fs::path> parts;
  std::error_code ignored;
  for (fs::recursive_directory_iterator at(path, ignored), end; at != end; at.increment(ignored)) {
    const std::string name = at->path().filename().string();
    if (is_hidden(name) && at->is_directory()) at.disable_recursion_pending();  // _temporary, .ipynb_checkpoints
    if (is_hidden(name) || !is_parquet(name)) continue;
    refuse_dangling(*at);
    if (at->is_regular_file()) parts.push_back(at->path());
  }
  std::sort(parts.begin(), parts.end(), comes_before);
  return parts;
}

}  // namespace

std::vector<fs::path> parquet_parts(const fs::path& path) {
  if (fs::is_regular_file(path)) return {path};
  std::vector<fs::path> parts = parts_in(path);
  refuse_missing_of_so_many(path, parts);
  return parts;
}

bool is_parquet_folder(const fs::path& path) {
  if (!fs::is_directory(path)) return false;
  if (is_parquet(path.filename().string()) || !format_with_a_log(path).empty()) return true;
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
  return !first.empty() && !parts_in(path).empty();
}

}  // namespace cllm
