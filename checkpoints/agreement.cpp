#include "checkpoints/agreement.h"

#include "checkpoints/errors.h"
#include "dist/errors.h"

namespace cllm {
namespace {

struct Outcome {
  char status = 0;   // 0: done, else the exit code
  std::string text;  // result or reason
};

Outcome attempt(int exit_code, const std::function<std::string()>& work) {
  try {
    return {0, work()};
  } catch (const CommError&) {
    throw;
  } catch (const CheckpointError& error) {
    return {static_cast<char>(error.exit_code()), error.what()};
  } catch (const std::exception& error) {
    return {static_cast<char>(exit_code), error.what()};
  }
}

}  // namespace

std::vector<std::string> agree(Communicator& comm, int exit_code, const std::function<std::string()>& work) {
  const Outcome mine = attempt(exit_code, work);
  std::vector<std::string> all = all_gather_strings(comm, mine.status + mine.text);
  for (size_t rank = 0; rank < all.size(); ++rank) {
    const char status = all[rank].front();
    all[rank].erase(0, 1);
    if (status == 0) continue;
    throw CheckpointError(status,
                          comm.world_size() == 1 ? all[rank] : "rank " + std::to_string(rank) + ": " + all[rank]);
  }
  return all;
}

std::string agree_on_rank_0(Communicator& comm, int exit_code, const std::function<std::string()>& work) {
  return agree(comm, exit_code, [&] { return comm.rank() == 0 ? work() : std::string(); }).front();
}

}  // namespace cllm
