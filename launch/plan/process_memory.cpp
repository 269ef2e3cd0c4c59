#include "launch/plan/process_memory.h"

#include <malloc.h>

#include <cstdlib>

namespace cllm {
namespace {

constexpr const char* kCompiledProducts = "96";
constexpr int kArenas = 2;
constexpr int kLargestOfTheHeap = 8 << 20;

}  // namespace

void bound_process_memory() {
  // libtorch hides oneDNN's functions; both caches read their variable when they are first used.
  constexpr int kKeep = 0;
  ::setenv("ONEDNN_PRIMITIVE_CACHE_CAPACITY", kCompiledProducts, kKeep);
  ::setenv("LRU_CACHE_CAPACITY", kCompiledProducts, kKeep);  // of libtorch's own layer around it
  if (std::getenv("MALLOC_ARENA_MAX") == nullptr) ::mallopt(M_ARENA_MAX, kArenas);
  if (std::getenv("MALLOC_MMAP_THRESHOLD_") == nullptr) ::mallopt(M_MMAP_THRESHOLD, kLargestOfTheHeap);
}

}  // namespace cllm
