#include "launch/failures/agree.h"

#include "dist/errors.h"
#include "launch/failures/exit_codes.h"

namespace cllm {

void collectively(Communicator& comm, const std::function<void()>& work) {
  int code = kDone;
  std::string line;
  try {
    work();
  } catch (...) {
    code = exit_code_of(std::current_exception(), line);
  }
  const auto codes = all_gather_strings(comm, std::to_string(code));
  for (int rank = 0; rank < comm.world_size(); ++rank) {
    const int failed = std::stoi(codes[static_cast<size_t>(rank)]);
    if (failed != kDone) throw AgreedFailure(failed, rank == comm.rank() ? line : "");
  }
}

void together(Communicator& comm, const std::function<void()>& work) {
  std::exception_ptr failure;
  try {
    work();
  } catch (const AgreedFailure&) {
    throw;
  } catch (const CommError&) {
    throw;
  } catch (...) {
    failure = std::current_exception();
  }
  collectively(comm, [&] {
    if (failure) std::rethrow_exception(failure);
  });
}

}  // namespace cllm
