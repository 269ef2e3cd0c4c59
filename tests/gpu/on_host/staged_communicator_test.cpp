#include "tests/gpu/on_host/staged_communicator.h"

#include <gtest/gtest.h>

#include <ATen/ops/arange.h>
#include <ATen/ops/full.h>
#include <ATen/ops/zeros.h>

#include "tests/gpu/test_device.h"
#include "tests/support/thread_world.h"

namespace cllm::testing {
namespace {

const at::Device kFake(test::kDevice, 0);

/// The device's communicator of the only rank there is, and an exchange that rank has started.
struct Started {
  explicit Started(at::ScalarType type, MadeUpStalls stalls = {})
      : comm(std::make_unique<ThreadCommunicator>(std::make_shared<SharedWorld>(1), 0), kFake, stalls),
        in(at::arange(1, 4, at::kLong).to(type).to(kFake)), out(at::zeros({3}, in.options())) {
    const std::vector<int64_t> rows{3};
    work = comm.all_to_all(out, in, rows, rows);
  }
  StagedCommunicator comm;
  at::Tensor in, out;
  std::unique_ptr<Work> work;
};

TEST(StagedCommunicator, WhoReadsBeforeTheWaitFindsNaNOrMinusOne) {
  for (const at::ScalarType type : {at::kFloat, at::kDouble, at::kBFloat16}) {
    Started started(type);
    EXPECT_TRUE(started.out.cpu().isnan().all().item<bool>()) << type;
    started.work->wait();
    EXPECT_TRUE(test::same_bits(started.out, started.in)) << type;
  }
  Started rows(at::kLong);
  EXPECT_TRUE(rows.out.cpu().eq(-1).all().item<bool>());
  rows.work->wait();
  EXPECT_TRUE(test::same_bits(rows.out, rows.in));
}

TEST(StagedCommunicator, WhoWritesBeforeTheWaitIsFound) {
  Started input(at::kFloat), output(at::kFloat);
  input.in.fill_(7);
  EXPECT_THROW(input.work->wait(), c10::Error);
  output.out.fill_(7);
  EXPECT_THROW(output.work->wait(), c10::Error);
}

TEST(StagedCommunicator, WorkThatNobodyWaitsForEndsWhenItGoes) {
  Started started(at::kFloat);
  started.work.reset();
  EXPECT_TRUE(test::same_bits(started.out, started.in));
}

TEST(StagedCommunicator, MadeUpStallsAreAdded) {
  Activity activity;
  Started started(at::kFloat, {&activity, 2.5});
  EXPECT_EQ(activity.stalled_s(), 0);
  started.work->wait();
  EXPECT_EQ(activity.stalled_s(), 2.5);
}

}  // namespace
}  // namespace cllm::testing
