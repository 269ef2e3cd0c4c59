#include "tests/support/communicator_contract.h"
#include "tests/support/mpi_world.h"

namespace cllm::testing {
namespace {

struct MpiFactory {
  static std::unique_ptr<Communicator> make() { return session->world(60); }
};

}  // namespace

INSTANTIATE_TYPED_TEST_SUITE_P(Mpi, CommunicatorContract, MpiFactory);

TEST(MpiSession, RanksOfOneHostAreNumberedAndCanTalk) {
  EXPECT_EQ(session->local_size(), session->world_size());  // all tests run on one host
  EXPECT_EQ(session->local_rank(), session->rank());
  const std::unique_ptr<Communicator> host = session->host(60);
  EXPECT_EQ(host->world_size(), session->local_size());
  EXPECT_EQ(all_gather_strings(*host, std::to_string(session->rank())).back(),
            std::to_string(session->world_size() - 1));
}

}  // namespace cllm::testing
