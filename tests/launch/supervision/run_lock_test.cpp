#include "launch/supervision/run_lock.h"

#include <gmock/gmock.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <fstream>
#include <optional>

#include "launch/failures/errors.h"

namespace cllm {
namespace {

using ::testing::HasSubstr;

class RunLockTest : public ::testing::Test {
 protected:
  RunLockTest() { std::filesystem::remove_all(dir); }
  ~RunLockTest() override { std::filesystem::remove_all(dir); }
  std::string refusal() const {
    try {
      const RunLock lock(dir, 0);
    } catch (const ConfigError& error) {
      return error.what();
    }
    return "";
  }
  const std::filesystem::path dir =
      std::filesystem::temp_directory_path() / ("cllm_run_lock_" + std::to_string(getpid()));
};

TEST_F(RunLockTest, RefusesASecondHolderAndNamesTheFirst) {
  const RunLock lock(dir, 0);
  EXPECT_TRUE(lock.held());
  EXPECT_THAT(refusal(), HasSubstr("is in use by"));
  EXPECT_THAT(refusal(), HasSubstr("process " + std::to_string(getpid())));
  EXPECT_THAT(refusal(), HasSubstr("choose another run.dir"));
}

TEST_F(RunLockTest, IsFreeAgainWhenTheHolderEnds) {
  std::optional<RunLock> lock;
  lock.emplace(dir, 0);
  lock.reset();
  EXPECT_EQ(refusal(), "");
}

TEST_F(RunLockTest, IsFreeAgainWhenTheHolderIsKilled) {
  int ready[2];
  ASSERT_EQ(pipe(ready), 0);
  const pid_t child = fork();
  if (child == 0) {
    const RunLock lock(dir, 0);
    (void)!write(ready[1], "x", 1);
    for (;;) pause();
  }
  char byte = 0;
  ASSERT_EQ(read(ready[0], &byte, 1), 1);
  EXPECT_THAT(refusal(), HasSubstr("process " + std::to_string(child)));
  kill(child, SIGKILL);
  waitpid(child, nullptr, 0);
  EXPECT_EQ(refusal(), "");
}

TEST_F(RunLockTest, NamesAFolderThatCannotBeMade) {
  std::filesystem::create_directories(dir);
  std::ofstream(dir / "file") << "x";
  try {
    const RunLock lock(dir / "file" / "run", 0);
    ADD_FAILURE();
  } catch (const ConfigError& error) {
    EXPECT_THAT(error.what(), HasSubstr("file/run"));
    EXPECT_THAT(error.what(), HasSubstr("choose another run.dir"));
  }
}

}  // namespace
}  // namespace cllm
