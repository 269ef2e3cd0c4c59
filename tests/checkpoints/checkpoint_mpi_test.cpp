// The checkpoint over real processes; what needs several world sizes in one test is in round_trip_test.cpp.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <ATen/ops/full.h>

#include "checkpoints/writer.h"
#include "tests/support/checkpoint_state.h"
#include "tests/support/mpi_world.h"

namespace cllm::testing {
namespace {

using ::testing::HasSubstr;

/// One folder for all ranks, made and removed by rank 0.
class SharedFolder {
 public:
  explicit SharedFolder(Communicator& comm) : comm_(comm) {
    if (comm.rank() == 0) folder_.emplace("mpi");
    path_ = broadcast_string(comm, folder_ ? folder_->path().string() : "", 0);
  }
  ~SharedFolder() { comm_.barrier(); }
  const std::filesystem::path& path() const { return path_; }

 private:
  Communicator& comm_;
  std::optional<ScratchFolder> folder_;
  std::filesystem::path path_;
};

TEST(CheckpointMpi, EveryDtypeComesBack) {
  const std::unique_ptr<Communicator> comm = session->world(60);
  const SharedFolder folder(*comm);
  prepare(*comm, folder.path());
  for (const int64_t step : {1, 2})
    save(*comm, folder.path(), step, make_state(step, comm->rank(), comm->world_size()));
  const std::optional<CheckpointInfo> latest = find_latest(*comm, folder.path(), nullptr);
  ASSERT_TRUE(latest.has_value());
  EXPECT_EQ(latest->step, 2);
  expect_loads(*comm, *latest);
}

TEST(CheckpointMpi, BackgroundSavesKeepApartFromTheTrainingsTraffic) {
  const std::unique_ptr<Communicator> comm = session->world(60);
  const SharedFolder folder(*comm);
  prepare(*comm, folder.path());
  CheckpointWriter writer(*comm, folder.path(), {});
  for (int64_t step = 1; step <= 3; ++step) {
    writer.start(step, make_state(step, comm->rank(), comm->world_size()));
    for (int turn = 0; turn < 50; ++turn) {
      at::Tensor ones = at::full({1000}, 1, at::kLong);
      comm->all_reduce(ones, ReduceOp::kSum);
      EXPECT_TRUE(ones.eq(comm->world_size()).all().item<bool>());
    }
  }
  EXPECT_EQ(writer.finish()->step, 3);
  expect_loads(*comm, *find_latest(*comm, folder.path(), nullptr));
}

TEST(CheckpointMpi, AnErrorOfOneRankIsThrownByAllWithOneMessage) {
  const std::unique_ptr<Communicator> comm = session->world(60);
  const SharedFolder folder(*comm);
  prepare(*comm, folder.path());
  TrainState state = make_state(1, comm->rank(), comm->world_size());
  const int last = comm->world_size() - 1;
  if (comm->rank() == last) state.tensors[0].rows = state.tensors[0].rows.to(at::kComplexFloat);
  std::string message;
  try {
    save(*comm, folder.path(), 1, state);
  } catch (const CheckpointError& error) {
    message = error.what();
  }
  EXPECT_THAT(message, HasSubstr("tensor \"l_user.weight\" has a dtype that checkpoints do not store"));
  for (const std::string& of_rank : all_gather_strings(*comm, message)) EXPECT_EQ(of_rank, message);
  EXPECT_FALSE(find_latest(*comm, folder.path(), nullptr).has_value());
}

}  // namespace
}  // namespace cllm::testing
