// What becomes of a channel over NCCL when something fails: over nccl_over_mpi.h, whose faults a GPU does not have at
// hand.

#include "dist/communicator/nccl_channel.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <ATen/ops/zeros.h>

#include <thread>

#include "dist/communicator/nccl_communicator.h"
#include "dist/errors.h"
#include "tests/support/mpi_world.h"

namespace cllm::testing {
namespace {

using on_host::nccl_faults;
using ::testing::AllOf;
using ::testing::HasSubstr;

/// All ranks have a communicator and rank 0 gets into trouble; the others wait for it at the end, so that its
/// operations have no peers.
class NcclTrouble : public ::testing::Test {
 protected:
  void SetUp() override {
    if (session->world_size() != 2) GTEST_SKIP() << "two ranks show it";
  }
  void TearDown() override {
    nccl_faults().abort_hangs = false;
    nccl_faults().peer_failed = false;
    while (nccl_faults().aborting > 0) std::this_thread::yield();
    bootstrap_->barrier();
  }

  std::unique_ptr<Communicator> connect(double deadline_s) {
    auto comm = make_nccl_communicator(*bootstrap_, {.local_rank = session->local_rank(), .deadline_s = deadline_s});
    comm->barrier();
    return comm;
  }
  std::unique_ptr<NcclChannel> open_channel() {
    ncclUniqueId id;
    EXPECT_EQ(ncclGetUniqueId(&id), ncclSuccess);
    const std::string of_rank_0 = broadcast_string(*bootstrap_, std::string(id.internal, sizeof id.internal), 0);
    of_rank_0.copy(id.internal, sizeof id.internal);
    return std::make_unique<NcclChannel>(id, session->rank(), session->world_size(), "channel", /*deadline_s=*/0);
  }
  /// What the barrier of rank 0 alone throws.
  static std::string failure_of(Communicator& comm) {
    try {
      comm.barrier();
    } catch (const CommError& error) {
      return error.what();
    }
    return "none";
  }
  bool in_trouble() const { return session->rank() == 0; }

  std::unique_ptr<Communicator> bootstrap_ = session->world(60);
};

TEST_F(NcclTrouble, APeerThatDisappearsEndsAnOperationAtItsDeadlineAndTheDestructorReturns) {
  auto comm = connect(1);
  if (!in_trouble()) return;
  const int aborted = nccl_faults().aborted;
  EXPECT_THAT(failure_of(*comm),
              AllOf(HasSubstr("barrier on \"world\""), HasSubstr("rank 0 of "), HasSubstr("deadline")));
  EXPECT_THAT(failure_of(*comm), HasSubstr("deadline"));
  comm.reset();
  EXPECT_EQ(nccl_faults().aborted, aborted + 1);
}

TEST_F(NcclTrouble, AnAbortThatBlocksHoldsUpNeitherTheCallersNorTheDestructor) {
  auto comm = connect(1);
  if (!in_trouble()) return;
  nccl_faults().abort_hangs = true;
  const Backoff clock;
  EXPECT_THAT(failure_of(*comm), HasSubstr("deadline"));
  EXPECT_THAT(failure_of(*comm), HasSubstr("deadline"));
  EXPECT_LT(clock.elapsed_s(), 4) << "the failure was told only after the abort";
  comm.reset();
  EXPECT_LT(clock.elapsed_s(), 30);
}

TEST_F(NcclTrouble, AnEndThatBlocksDoesNotHoldUpTheDestructor) {
  auto comm = connect(0);
  if (!in_trouble()) return;
  nccl_faults().peer_failed = true;
  nccl_faults().abort_hangs = true;
  const Backoff clock;
  comm.reset();
  EXPECT_LT(clock.elapsed_s(), 30);
}

TEST_F(NcclTrouble, AFailureThatNcclReportsEndsAnOperationWithoutADeadline) {
  auto comm = connect(0);
  if (!in_trouble()) return;
  nccl_faults().peer_failed = true;
  EXPECT_THAT(failure_of(*comm), HasSubstr("remote process exited"));
}

TEST_F(NcclTrouble, AStartWithoutPeersEndsAtItsDeadline) {
  if (!in_trouble()) return;
  ncclUniqueId id;
  ASSERT_EQ(ncclGetUniqueId(&id), ncclSuccess);
  const int aborted = nccl_faults().aborted;
  try {
    const NcclChannel alone(id, 0, session->world_size(), "alone", 1);
    ADD_FAILURE() << "it started without its peers";
  } catch (const CommError& error) {
    EXPECT_THAT(error.what(),
                AllOf(HasSubstr("start of communicator \"alone\""), HasSubstr("peers did not answer within 1")));
  }
  EXPECT_EQ(nccl_faults().aborted, aborted + 1);
}

TEST_F(NcclTrouble, AnOperationUnderWayIsAbortedByTheDestructorAndStreamsGoOn) {
  auto channel = open_channel();
  if (!in_trouble()) return;
  const int aborted = nccl_faults().aborted;
  char never = 0;
  const auto end = channel->start("receive", 1, [&](ncclComm_t comm, cudaStream_t stream) {
    check_nccl(ncclRecv(&never, 1, ncclChar, /*peer=*/1, comm, stream), "receive");
  });
  EXPECT_FALSE(end->query());
  channel.reset();
  EXPECT_EQ(nccl_faults().aborted, aborted + 1);
  end->block(c10::cuda::getCurrentCUDAStream());
  EXPECT_TRUE(end->query());
}

TEST(NcclChannel, AnIdleCommunicatorEndsInOrder) {
  const auto bootstrap = session->world(60);
  auto comm = make_nccl_communicator(*bootstrap, {.local_rank = session->local_rank(), .deadline_s = 60});
  auto other = comm->duplicate("other");
  other->barrier();
  const int destroyed = nccl_faults().destroyed, aborted = nccl_faults().aborted;
  comm.reset();
  other.reset();
  EXPECT_EQ(nccl_faults().destroyed, destroyed + 2);
  EXPECT_EQ(nccl_faults().aborted, aborted);
}

TEST(NcclChannel, WhatTheCurrentStreamStandsStillIsAddedWhereItIsAskedFor) {
  const auto bootstrap = session->world(60);
  Activity activity;
  const auto comm =
      make_nccl_communicator(*bootstrap, {.local_rank = session->local_rank(), .deadline_s = 60, .stalls = &activity});
  const auto duplicate = comm->duplicate("other");
  const Backoff clock;
  double before = 0;
  for (Communicator* const measured : {comm.get(), duplicate.get()}) {
    for (int n = 0; n < 3; ++n) {
      at::Tensor tensor = at::zeros({100000});
      measured->broadcast(tensor, 0);
    }
    if (session->world_size() > 1) {
      EXPECT_GT(activity.stalled_s(), before);
    }
    before = activity.stalled_s();
  }
  EXPECT_LT(before, clock.elapsed_s());
}

}  // namespace
}  // namespace cllm::testing
