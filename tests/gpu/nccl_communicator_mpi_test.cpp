#include "dist/communicator/nccl_communicator.h"

#include <ATen/ops/zeros.h>

#include "dist/errors.h"
#include "tests/support/communicator_contract.h"
#include "tests/support/mpi_world.h"

// Ranks beyond the number of GPUs share one. Without a GPU the tests run over tests/gpu/on_host/nccl_over_mpi.h.

namespace cllm::testing {
namespace {

NcclOptions options(double deadline_s) { return {session->local_rank(), deadline_s, /*allow_shared_gpu=*/true}; }

struct NcclFactory {
  static std::unique_ptr<Communicator> make() { return make_nccl_communicator(*session->world(60), options(60)); }
};

}  // namespace

INSTANTIATE_TYPED_TEST_SUITE_P(Nccl, CommunicatorContract, NcclFactory);

TEST(NcclCommunicator, RefusesTwoRanksOnOneGpuOnAllOfThem) {
  if (session->world_size() == 1) GTEST_SKIP() << "needs two ranks";
  NcclOptions same = options(60);
  same.local_rank = 0;
  same.allow_shared_gpu = false;
  EXPECT_THROW(make_nccl_communicator(*session->world(60), same), DeviceError);
}

TEST(NcclCommunicator, RefusesALocalRankWithoutGpuOnAllRanks) {
  NcclOptions beyond = options(60);
  beyond.allow_shared_gpu = false;
  if (session->rank() == session->world_size() - 1) beyond.local_rank = 1000;
  EXPECT_THROW(make_nccl_communicator(*session->world(60), beyond), DeviceError);
}

TEST(NcclCommunicator, AMissingPeerEndsAnOperationAtItsDeadline) {
  if (session->world_size() == 1) GTEST_SKIP() << "needs two ranks";
  const std::unique_ptr<Communicator> bootstrap = session->world(60),
                                      comm = make_nccl_communicator(*bootstrap, options(2));
  comm->barrier();
  if (session->rank() == 0) {
    at::Tensor tensor = at::zeros({1000}, at::TensorOptions().device(comm->device()));
    try {
      comm->all_reduce(tensor, ReduceOp::kSum);
      comm->barrier();
      ADD_FAILURE() << "the operation ended without its peers";
    } catch (const CommError& error) {
      EXPECT_NE(std::string(error.what()).find("all_reduce"), std::string::npos) << error.what();
    }
    EXPECT_THROW(comm->barrier(), CommError);
  }
  bootstrap->barrier();
}

}  // namespace cllm::testing
