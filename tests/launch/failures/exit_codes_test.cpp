#include "launch/failures/exit_codes.h"

#include <gtest/gtest.h>

#include <cerrno>
#include <filesystem>
#include <stdexcept>
#include <system_error>

#include "checkpoints/errors.h"
#include "data/errors.h"
#include "dist/errors.h"
#include "launch/failures/errors.h"
#include "model/errors.h"

namespace cllm {
namespace {

template <typename Error>
int code_of(const Error& error) {
  std::string line;
  return exit_code_of(std::make_exception_ptr(error), line);
}

TEST(ExitCodes, AreThoseOfTheHouseRules) {
  EXPECT_EQ(code_of(ConfigError("")), 64);
  EXPECT_EQ(code_of(DataError("")), 65);
  EXPECT_EQ(code_of(ModelError("")), 65);
  EXPECT_EQ(code_of(CommError("")), 71);
  EXPECT_EQ(code_of(std::system_error(ENOSPC, std::generic_category())), 74);
  EXPECT_EQ(code_of(std::filesystem::filesystem_error("", std::error_code(EDQUOT, std::generic_category()))), 74);
  EXPECT_EQ(code_of(std::filesystem::filesystem_error("", std::error_code(EACCES, std::generic_category()))), 64);
  EXPECT_EQ(code_of(std::system_error(EAGAIN, std::generic_category())), 70);  // no more threads
  EXPECT_EQ(code_of(std::logic_error("")), 70);
  EXPECT_EQ(code_of(42), 70);
}

TEST(ExitCodes, MessageIsOneLine) {
  std::string line;
  exit_code_of(std::make_exception_ptr(DataError("items.tsv:3: bad\nUTF-8")), line);
  EXPECT_EQ(line, "items.tsv:3: bad UTF-8");
  exit_code_of(std::make_exception_ptr(ConfigError("--run.dir\r\x1B[2J: bad")), line);
  EXPECT_EQ(line, "--run.dir  [2J: bad");
}

}  // namespace
}  // namespace cllm
