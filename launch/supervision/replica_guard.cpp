#include "launch/supervision/replica_guard.h"

#include <ATen/ops/empty.h>
#include <xxhash.h>

#include <algorithm>
#include <map>
#include <utility>

#include "launch/failures/agree.h"
#include "launch/failures/exit_codes.h"

namespace cllm {
namespace {

int64_t digest(const at::Tensor& tensor) {
  const at::Tensor host = tensor.contiguous().cpu();
  return static_cast<int64_t>(XXH3_64bits(host.const_data_ptr(), host.nbytes()));
}

/// int64 [R, N]: row r has the digests of rank r.
at::Tensor gather_digests(Communicator& comm, const std::vector<ReplicatedTensor>& replicas) {
  const auto N = static_cast<int64_t>(replicas.size());
  at::Tensor mine = at::empty({1, N}, at::kLong);
  for (int64_t n = 0; n < N; ++n) mine.mutable_data_ptr<int64_t>()[n] = digest(replicas[static_cast<size_t>(n)].value);
  mine = mine.to(comm.device());
  at::Tensor all = at::empty({comm.world_size(), N}, mine.options());
  comm.all_gather(all, mine, std::vector<int64_t>(static_cast<size_t>(comm.world_size()), 1));
  return all.cpu();
}

/// Ranks without the value that most have; all ranks if none is in the majority.
std::vector<int> deviating(const std::vector<int64_t>& digests) {
  std::map<int64_t, size_t> votes;
  for (const int64_t value : digests) ++votes[value];
  const auto most = std::ranges::max_element(votes, {}, [](const auto& vote) { return vote.second; });
  const bool majority = 2 * most->second > digests.size();
  std::vector<int> ranks;
  for (size_t rank = 0; rank < digests.size(); ++rank) {
    if (!majority || digests[rank] != most->first) ranks.push_back(static_cast<int>(rank));
  }
  return ranks;
}

std::string describe(const std::string& tensor, const std::vector<int>& ranks, size_t world_size) {
  std::string who = ranks.size() == 1 ? "rank " : "ranks ";
  for (size_t n = 0; n < ranks.size(); ++n) who += (n > 0 ? ", " : "") + std::to_string(ranks[n]);
  return "tensor \"" + tensor + "\" of " + who +
         (ranks.size() == world_size ? " differs among them (no majority tells which is wrong)"
                                     : " differs from the other ranks'");
}

}  // namespace

ReplicaGuard::ReplicaGuard(Communicator& comm, std::function<std::vector<ReplicatedTensor>()> replicas,
                           int64_t every_steps)
    : comm_(comm), replicas_(std::move(replicas)), every_steps_(every_steps) {}

void ReplicaGuard::step_done(int64_t step) {
  if (every_steps_ > 0 && step % every_steps_ == 0) compare(step);
}

void ReplicaGuard::compare(int64_t step) {
  if (every_steps_ == 0 || comm_.world_size() == 1 || std::exchange(compared_, step) == step) return;
  const std::vector<ReplicatedTensor> replicas = replicas_();
  const at::Tensor all = gather_digests(comm_, replicas);
  const auto table = all.accessor<int64_t, 2>();
  for (size_t n = 0; n < replicas.size(); ++n) {
    std::vector<int64_t> digests;
    for (int64_t rank = 0; rank < comm_.world_size(); ++rank) digests.push_back(table[rank][static_cast<int64_t>(n)]);
    if (std::ranges::all_of(digests, [&](int64_t value) { return value == digests[0]; })) continue;
    const std::string line =
        "step " + std::to_string(step) + ": " + describe(replicas[n].name, deviating(digests), digests.size()) +
        ": memory was corrupted, nothing is saved; check that host, then go on from the last checkpoint";
    throw AgreedFailure(kPeerLost, comm_.rank() == 0 ? line : "");
  }
}

void ReplicaGuard::flip_a_bit() const {
  const std::vector<ReplicatedTensor> replicas = replicas_();
  const at::Tensor value = replicas[replicas.size() / 2].value;
  at::Tensor host = value.cpu().contiguous();
  *static_cast<uint8_t*>(host.mutable_data_ptr()) ^= 1;
  value.copy_(host);
}

}  // namespace cllm
