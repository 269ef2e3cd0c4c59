// main() of the multi-rank test executables: every rank runs every test; a rank other than 0 prints only its failures;
// the exit code is non-zero on all ranks if any rank failed.
#include <gtest/gtest.h>

#include <ATen/ops/scalar_tensor.h>

#include "dist/communicator/mpi_session.h"

namespace cllm::testing {
MpiSession* session = nullptr;
}

int main(int argc, char** argv) {
  cllm::MpiSession session(&argc, &argv);
  cllm::testing::session = &session;
  ::testing::InitGoogleTest(&argc, argv);
  if (session.rank() != 0) {
    auto& listeners = ::testing::UnitTest::GetInstance()->listeners();
    delete listeners.Release(listeners.default_result_printer());
  }
  at::Tensor failed = at::scalar_tensor(RUN_ALL_TESTS(), at::kLong).reshape({1});
  session.world()->all_reduce(failed, cllm::ReduceOp::kMax);
  return failed.item<int64_t>() == 0 ? 0 : 1;
}
