// What becomes of a job when one of its ranks dies, hangs or disagrees: all ranks are gone soon, and the message names
// the peer.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <ATen/ops/zeros.h>
#include <signal.h>
#include <unistd.h>

#include "dist/communicator/mpi_session.h"
#include "dist/errors.h"
#include "tests/support/command.h"

namespace cllm::testing {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

/// The last rank commits the fault, all others go into an all_gather.
void take_part(MpiSession& session, const std::string& fault) {
  const std::unique_ptr<Communicator> comm = session.world(2);
  const bool faulty = session.rank() == session.world_size() - 1;
  at::Tensor mine = at::zeros({fault == "other_size" && faulty ? 10 : 1000}, at::kFloat);
  at::Tensor all = at::zeros({1000 * session.world_size()}, at::kFloat);
  comm->barrier();
  if (fault == "other_size") return comm->all_reduce(mine, ReduceOp::kSum);
  if (faulty && fault == "killed") kill(getpid(), SIGKILL);
  if (faulty && fault == "exits") _exit(3);
  if (faulty && fault == "hangs") pause();
  if (faulty && fault == "other_operation") return comm->broadcast(mine, 0);
  comm->all_gather(all, mine, std::vector<int64_t>(session.world_size(), 1000));
}

TEST(PeerFailure, DISABLED_Program) {
  MpiSession session(nullptr, nullptr);
  try {
    take_part(session, program_argument());
  } catch (const CommError& error) {
    std::fprintf(stderr, "%s\n", error.what());
    session.abort(71);
  }
}

CommandResult run_with(const std::string& fault) {
  return run_test_as_program(3, "PeerFailure.DISABLED_Program", fault);
}

TEST(PeerFailure, HealthyRanksFinish) { EXPECT_EQ(run_with("none").exit_code, 0); }

TEST(PeerFailure, KilledRankEndsAll) { EXPECT_EQ(run_with("killed").exit_code, 137); }

TEST(PeerFailure, RankThatExitsEndsAllWithItsCode) { EXPECT_EQ(run_with("exits").exit_code, 3); }

TEST(PeerFailure, HungRankIsNamedAtTheDeadline) {
  const CommandResult result = run_with("hangs");
  EXPECT_EQ(result.exit_code, 71);
  EXPECT_THAT(result.output, AllOf(HasSubstr("all_gather on \"world\", rank "),
                                   HasSubstr(" of 3: waited for 4000 bytes from rank 2"), HasSubstr("(after ")));
}

TEST(PeerFailure, RankInAnotherOperationIsNamedAtTheDeadline) {
  const CommandResult result = run_with("other_operation");
  EXPECT_EQ(result.exit_code, 71);
  EXPECT_THAT(result.output, HasSubstr(" of 3: waited for "));
}

TEST(PeerFailure, RanksThatDisagreeAboutSizesAreTold) {
  const CommandResult result = run_with("other_size");
  EXPECT_EQ(result.exit_code, 71);
  EXPECT_THAT(result.output, HasSubstr("the ranks disagree about sizes"));
}

}  // namespace
}  // namespace cllm::testing
