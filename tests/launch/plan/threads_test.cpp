#include "launch/plan/threads.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>
#include <string>

namespace cllm {
namespace {

TEST(Threads, AreThoseOfTheConfigurationThenOfTheEnvironmentThenOfTheHost) {
  const char* const before = std::getenv("OMP_NUM_THREADS");
  const std::string kept = before == nullptr ? "" : before;
  setenv("OMP_NUM_THREADS", "3", 1);
  EXPECT_EQ(threads_of_rank(5, 1), 5);
  EXPECT_EQ(threads_of_rank(0, 1), 3);
  const int64_t cores = sysconf(_SC_NPROCESSORS_ONLN);
  setenv("OMP_NUM_THREADS", "many", 1);
  EXPECT_EQ(threads_of_rank(0, 1), cores);
  unsetenv("OMP_NUM_THREADS");
  EXPECT_EQ(threads_of_rank(0, 1), cores);
  EXPECT_EQ(threads_of_rank(0, 2 * cores), 1);
  if (before != nullptr) setenv("OMP_NUM_THREADS", kept.c_str(), 1);
}

}  // namespace
}  // namespace cllm
