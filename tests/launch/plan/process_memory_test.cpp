#include "launch/plan/process_memory.h"

#include <gtest/gtest.h>
#include <malloc.h>
#include <sys/wait.h>
#include <unistd.h>

#include <barrier>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <thread>
#include <vector>

namespace cllm::testing {
namespace {

/// What `work` answers in a process of its own.
int answer_of_a_child(int (*work)()) {
  const pid_t child = ::fork();
  if (child == 0) ::_exit(work());
  int status = 0;
  ::waitpid(child, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

int count_arenas() {
  char* text = nullptr;
  size_t size = 0;
  std::FILE* const out = ::open_memstream(&text, &size);
  ::malloc_info(0, out);
  std::fclose(out);
  int arenas = 0;
  const std::string xml(text, size);
  for (size_t at = xml.find("<heap nr="); at != std::string::npos; at = xml.find("<heap nr=", at + 1)) ++arenas;
  return arenas;
}

/// By how many malloc's arenas grow by 12 threads that hold memory at the same time; the process may have some already.
int new_arenas() {
  const int before = count_arenas();
  std::barrier all_hold(12);
  std::vector<std::thread> threads;
  for (int n = 0; n < 12; ++n) {
    threads.emplace_back([&] {
      void* volatile held = std::malloc(1000);
      all_hold.arrive_and_wait();
      std::free(held);
    });
  }
  for (std::thread& thread : threads) thread.join();
  return count_arenas() - before;
}

/// 1 if a large block is the system's own mapping, which goes back to it, though one of its size was freed before.
int large_blocks_are_mapped() {
  void* volatile first = std::malloc(16 << 20);
  std::free(first);
  const size_t before = ::mallinfo2().hblks;
  void* volatile second = std::malloc(12 << 20);
  const size_t mapped = ::mallinfo2().hblks - before;
  std::free(second);
  return static_cast<int>(mapped);
}

int capacity_of(const char* name) {
  const char* const text = std::getenv(name);
  return text == nullptr ? -1 : std::atoi(text);
}

TEST(ProcessMemory, CachesOfCompiledProductsAreBounded) {
  for (const auto work : {+[] {
                            ::unsetenv("ONEDNN_PRIMITIVE_CACHE_CAPACITY");
                            bound_process_memory();
                            return capacity_of("ONEDNN_PRIMITIVE_CACHE_CAPACITY");
                          },
                          +[] {
                            ::unsetenv("LRU_CACHE_CAPACITY");
                            bound_process_memory();
                            return capacity_of("LRU_CACHE_CAPACITY");
                          }}) {
    EXPECT_EQ(answer_of_a_child(work), 96);
  }
}

TEST(ProcessMemory, WhatTheEnvironmentSaysStays) {
  EXPECT_EQ(answer_of_a_child([] {
              ::setenv("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "7", 1);
              bound_process_memory();
              return capacity_of("ONEDNN_PRIMITIVE_CACHE_CAPACITY");
            }),
            7);
}

TEST(ProcessMemory, ThreadsShareFewArenas) {
  EXPECT_GT(answer_of_a_child([] { return new_arenas(); }), 1) << "without a bound every thread has its own";
  EXPECT_LE(answer_of_a_child([] {
              ::unsetenv("MALLOC_ARENA_MAX");
              bound_process_memory();
              return new_arenas();
            }),
            1);
}

TEST(ProcessMemory, ALargeBlockGoesBackToTheSystem) {
  EXPECT_EQ(answer_of_a_child(large_blocks_are_mapped), 0) << "malloc does so by itself: the bound can go";
  EXPECT_EQ(answer_of_a_child([] {
              ::unsetenv("MALLOC_MMAP_THRESHOLD_");
              bound_process_memory();
              return large_blocks_are_mapped();
            }),
            1);
}

}  // namespace
}  // namespace cllm::testing
