#include "launch/export/item_index.h"

#include <dlfcn.h>

#include <array>

#include "data/plugin.h"
#include "launch/export/faiss_interface.h"
#include "launch/failures/errors.h"

namespace cllm {
namespace {

namespace fs = std::filesystem;

/// Opened once.
struct Plugin {
  decltype(&cllm4rec_faiss_write) write = nullptr;
  decltype(&cllm4rec_faiss_search) search = nullptr;
  std::string problem;

  Plugin() {
    const std::string mend = "; install libfaiss-dev (launch/setup --with-faiss), build again, or leave --faiss out";
    // Its BLAS is not libtorch's.
    void* const module = open_plugin("cllm4rec_faiss.so", /*isolated=*/true, problem);
    if (module == nullptr) {
      problem = (problem.empty() ? "this build has no Faiss" : problem) + mend;
      return;
    }
    write = reinterpret_cast<decltype(write)>(dlsym(module, "cllm4rec_faiss_write"));
    search = reinterpret_cast<decltype(search)>(dlsym(module, "cllm4rec_faiss_search"));
    if (write == nullptr || search == nullptr) problem = "cllm4rec_faiss.so is of another version" + mend;
  }
};

const Plugin& plugin() {
  static const Plugin opened;
  return opened;
}

using Problem = std::array<char, 512>;

void check(int code, const fs::path& path, const Problem& problem) {
  if (code != 0) throw ConfigError(path.string() + ": Faiss: " + problem.data());
}

}  // namespace

std::string why_no_faiss() { return plugin().problem; }

void write_faiss_index(const fs::path& path, IndexKind kind, std::span<const float> rows, int64_t d) {
  if (!plugin().problem.empty()) throw ConfigError("--faiss: " + plugin().problem);
  Problem problem{};
  check(plugin().write(path.c_str(), kind == IndexKind::kFlat ? 0 : 1, rows.data(), std::ssize(rows) / d, d,
                       problem.data(), problem.size()),
        path, problem);
}

std::vector<int64_t> search_faiss_index(const fs::path& path, std::span<const float> queries, int64_t d, int64_t k) {
  if (!plugin().problem.empty()) throw ConfigError("--faiss: " + plugin().problem);
  const int64_t b = std::ssize(queries) / d;
  std::vector<int64_t> numbers(static_cast<size_t>(b * k));
  std::vector<float> scores(numbers.size());
  Problem problem{};
  check(plugin().search(path.c_str(), queries.data(), b, d, k, numbers.data(), scores.data(), problem.data(),
                        problem.size()),
        path, problem);
  return numbers;
}

}  // namespace cllm
