#include <gtest/gtest.h>

#include "model/kernels/rows/rows.h"
#include "tests/gpu/test_device.h"

namespace cllm {
namespace {

using namespace test;

void expect_the_twins_answer(const std::vector<int32_t>& rows) {
  const UniqueRows want = cpu_row_kernels().unique(rows),
                   got = kernels::row_kernels(at::Device(kDevice, 0)).unique(rows);
  EXPECT_EQ(got.rows, want.rows) << rows.size() << " rows";
  EXPECT_EQ(got.position_T.device().type(), kDevice);
  EXPECT_EQ(got.position_T.scalar_type(), at::kLong);
  EXPECT_TRUE(same_bits(got.position_T, want.position_T)) << rows.size() << " rows";
}

TEST(UniqueRowsOnDevice, AreTheCpuTwinsInItsOrder) {
  expect_the_twins_answer({});
  expect_the_twins_answer({7});
  expect_the_twins_answer({5, 5, 5, 5});
  expect_the_twins_answer({INT32_MAX, 0, 3, INT32_MAX, 2, 0});
  std::vector<int32_t> rows;
  for (int64_t n = 0; n < 20000; ++n) rows.push_back(static_cast<int32_t>(n * n % 7919));
  expect_the_twins_answer(rows);
  expect_the_twins_answer(std::vector<int32_t>(1000 * 1000, 41));
}

TEST(UniqueRowsOnDevice, EveryPositionLeadsBackToItsRow) {
  const std::vector<int32_t> rows{9, 1, 9, 4, 1};
  for (const RowKernels& twin : {cpu_row_kernels(), kernels::row_kernels(at::Device(kDevice, 0))}) {
    const UniqueRows unique = twin.unique(rows);
    EXPECT_EQ(unique.rows, (std::vector<int64_t>{1, 4, 9}));
    const at::Tensor position = unique.position_T.cpu();
    for (size_t n = 0; n < rows.size(); ++n) {
      const int64_t place = position[static_cast<int64_t>(n)].item<int64_t>();
      EXPECT_EQ(unique.rows[static_cast<size_t>(place)], rows[n]);
    }
  }
}

}  // namespace
}  // namespace cllm
