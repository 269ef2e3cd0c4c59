#include "model/recommenders/closed_form/available_memory.h"

#include <gtest/gtest.h>

#include "tests/data/text/shared_files.h"

namespace cllm::available_memory_tests {
namespace {

/// A host with 1,000,000 KiB available, and groups as files.
class AvailableMemory : public ::testing::Test {
 protected:
  static constexpr int64_t kHost = 1'024'000'000;

  AvailableMemory() { file("proc/meminfo", "MemTotal:  9000000 kB\nMemAvailable:   1000000 kB\nSwapFree: 5 kB\n"); }
  void file(const std::string& path, const std::string& text) {
    std::filesystem::create_directories((folder_.path() / path).parent_path());
    folder_.write(path, text);
  }
  int64_t available() const { return available_memory(folder_.path()); }

  testing::TemporaryFolder folder_;
};

TEST_F(AvailableMemory, IsWhatTheHostGivesWithoutGroupsOrWithinTheirLimits) {
  EXPECT_EQ(available(), kHost);
  file("proc/self/cgroup", "0::/job\n");
  file("sys/fs/cgroup/job/memory.max", "max\n");
  file("sys/fs/cgroup/job/memory.current", "5000\n");
  EXPECT_EQ(available(), kHost);
  file("sys/fs/cgroup/job/memory.max", "900000000000\n");
  EXPECT_EQ(available(), kHost);
}

TEST_F(AvailableMemory, IsWhatTheTightestGroupOfVersion2LeavesWithDroppablePages) {
  file("proc/self/cgroup", "0::/slurm/job_7/step_0\n");
  file("sys/fs/cgroup/slurm/job_7/step_0/memory.max", "max\n");
  file("sys/fs/cgroup/slurm/job_7/memory.max", "50000000\n");
  file("sys/fs/cgroup/slurm/job_7/memory.current", "20000000\n");
  file("sys/fs/cgroup/slurm/job_7/memory.stat", "anon 7\ninactive_file 3000000\nactive_file 9\n");
  EXPECT_EQ(available(), 33'000'000);
  file("sys/fs/cgroup/memory.max", "40000000\n");  // of all: as a container sees its own
  file("sys/fs/cgroup/memory.current", "39999000\n");
  EXPECT_EQ(available(), 1000);
}

TEST_F(AvailableMemory, IsWhatAGroupOfVersion1LeavesAndNeverLooksUnknown) {
  file("proc/self/cgroup", "9:name=systemd:/\n4:cpuset,memory:/uid_0/job_7\n0::/\n");
  file("sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n");
  file("sys/fs/cgroup/memory/memory.usage_in_bytes", "123456789\n");
  EXPECT_EQ(available(), kHost);
  file("sys/fs/cgroup/memory/uid_0/job_7/memory.limit_in_bytes", "80000\n");
  file("sys/fs/cgroup/memory/uid_0/job_7/memory.usage_in_bytes", "30000\n");
  file("sys/fs/cgroup/memory/uid_0/job_7/memory.stat", "inactive_file 1\ntotal_inactive_file 500\n");
  EXPECT_EQ(available(), 50'500);
  file("sys/fs/cgroup/memory/uid_0/job_7/memory.usage_in_bytes", "90000\n");
  EXPECT_EQ(available(), 1);
}

TEST_F(AvailableMemory, IsNotKnownWithoutThatOfTheHost) {
  file("proc/meminfo", "MemTotal:  9000000 kB\n");
  EXPECT_EQ(available(), 0);
}

}  // namespace
}  // namespace cllm::available_memory_tests
