#include <ATen/ops/arange.h>

#include <gtest/gtest.h>

#include "dist/device/device.h"
#include "model/tables/row_optimizer.h"
#include "tests/gpu/test_device.h"
#include "tests/support/peak_memory.h"

// Tables whose rows of users are in the host's memory.

namespace cllm {
namespace {

using namespace test;

constexpr int64_t kUsers = 37, kItems = 11, kWidth = 16;

Table table_on_device(const RowOptimizer& optimizer, bool users_on_host) {
  Table table = make_random_table(RowLayout(kUsers, kItems, 0, 1), kWidth, at::kFloat, 7, Side::kContent);
  move_table(table, at::Device(kDevice, 0), users_on_host);
  optimizer.reset(table);
  return table;
}

TEST(UsersOnTheHost, EveryOptimiserGivesTheSameBits) {
  for (const char* name : {"adam", "lazy_adam", "rowwise_adagrad", "sgd"}) {
    const auto optimizer = make_row_optimizer({.name = name});
    Table here = table_on_device(*optimizer, false), there = table_on_device(*optimizer, true);
    for (int step = 0; step < 3; ++step) {
      const at::Tensor rows = to_device(at::arange(step, kUsers + kItems, 3, at::kLong));
      const at::Tensor gradients = to_device(random({rows.size(0), kWidth}));
      for (Table* table : {&here, &there}) optimizer->update(*table, {rows, gradients}, 1e-2);
    }
    for (Table* table : {&here, &there}) optimizer->flush(*table);
    EXPECT_TRUE(same_bits(there.weight, here.weight)) << name;
    EXPECT_TRUE(same_bits(there.items(), here.items()) && same_bits(there.users(), here.users())) << name;
    EXPECT_TRUE(same_bits(there.row_step, here.row_step)) << name;
  }
}

TEST(UsersOnTheHost, TheDeviceHoldsOnlyTheItems) {
  if (kOnGpu) GTEST_SKIP() << "libtorch's allocators know nothing of managed memory";
  const auto optimizer = make_row_optimizer({.name = "adam"});
  const auto peak = [&](bool users_on_host) {
    Table table = make_random_table(RowLayout(5000, 10, 0, 1), kWidth, at::kFloat, 7, Side::kContent);
    return testing::peak_bytes_of(kDevice, [&] {
      move_table(table, at::Device(kDevice, 0), users_on_host);
      optimizer->reset(table);
      table = {};
    });
  };
  EXPECT_LT(peak(true), peak(false) / 100);
}

TEST(UsersOnTheHost, TheBytesOfBothKindsOfRowsAreKnown) {
  for (const auto& [name, numbers] :
       {std::pair{"adam", 3 * kWidth + 1}, {"rowwise_adagrad", kWidth + 2}, {"sgd", kWidth + 1}}) {
    const RowBytes bytes = bytes_of_rows(table_on_device(*make_row_optimizer({.name = name}), true));
    EXPECT_EQ(bytes.users, kUsers * numbers * 4) << name;
    EXPECT_EQ(bytes.items, kItems * numbers * 4) << name;
  }
}

TEST(UsersOnTheHost, EmptySharesAreOrdinary) {
  const at::Device device(kDevice, 0);
  EXPECT_EQ(zeros_with_rows_on_host({0, 8}, at::kFloat, device, 0).numel(), 0);
  EXPECT_EQ(zeros_with_rows_on_host({3, 8}, at::kFloat, device, 0).sum().item<float>(), 0);
  EXPECT_EQ(zeros_with_rows_on_host({3, 8}, at::kFloat, device, 3).sum().item<float>(), 0);
}

}  // namespace
}  // namespace cllm
