#include "model/recommenders/closed_form/memory.h"

#include <ATen/ops/empty.h>
#include <ATen/ops/full.h>

#include <cstdio>

#include "model/errors.h"
#include "model/recommenders/closed_form/available_memory.h"

namespace cllm {
namespace {

constexpr double kGib = 1 << 30;

std::string gib(double bytes) {
  char text[32];
  std::snprintf(text, sizeof text, "%.2f GiB", bytes / kGib);
  return text;
}

}  // namespace

void require_memory(const OpenArguments& arguments, Communicator& comm, const MemoryNeed& need) {
  at::Tensor of_host = at::full({1}, static_cast<double>(need.bytes), at::kDouble);
  (arguments.host != nullptr ? *arguments.host : comm).all_reduce(of_host, ReduceOp::kSum);
  const double has = need.limit_gib > 0 ? need.limit_gib * kGib : static_cast<double>(available_memory());
  at::Tensor mine = at::empty({1, 2}, at::kDouble), all = at::empty({comm.world_size(), 2}, at::kDouble);
  mine.mutable_data_ptr<double>()[0] = of_host.const_data_ptr<double>()[0];
  mine.mutable_data_ptr<double>()[1] = has;
  comm.all_gather(all, mine, std::vector<int64_t>(static_cast<size_t>(comm.world_size()), 1));
  const auto* const values = all.const_data_ptr<double>();
  for (int rank = 0; rank < comm.world_size(); ++rank) {
    const double needed = values[2 * rank], there = values[2 * rank + 1];
    if (there == 0 || needed <= there) continue;
    throw ModelError(need.model + ": " + std::to_string(need.items) + " items need " + gib(needed) + " (" +
                     std::to_string(static_cast<int64_t>(needed)) + " bytes: " + need.parts + ") on the host of rank " +
                     std::to_string(rank) + ", where " + gib(there) + " are available; " + need.remedy);
  }
}

}  // namespace cllm
