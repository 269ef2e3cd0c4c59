#include "dist/device/device.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "dist/errors.h"

namespace cllm {
namespace {

std::string refusal(int local_rank, int num_gpus, bool shared) {
  try {
    gpu_of_rank(local_rank, num_gpus, shared);
  } catch (const DeviceError& error) {
    return error.what();
  }
  return "none";
}

TEST(Device, ARankTakesTheGpuOfItsNumberAndIsRefusedWhereThereIsNone) {
  for (int rank = 0; rank < 4; ++rank) EXPECT_EQ(gpu_of_rank(rank, 4, false), rank);
  EXPECT_THAT(refusal(4, 4, false), ::testing::HasSubstr("local rank 4 finds 4 GPUs on its host"));
  EXPECT_THAT(refusal(0, 0, false), ::testing::HasSubstr("no GPU is visible"));
}

TEST(Device, RanksThatMayShareTakeTheGpusInTurn) {
  EXPECT_EQ(gpu_of_rank(1, 1, true), 0);
  EXPECT_EQ(gpu_of_rank(5, 4, true), 1);
  EXPECT_THAT(refusal(0, 0, true), ::testing::HasSubstr("no GPU is visible"));
}

}  // namespace
}  // namespace cllm
