#include "launch/plan/memory_plan.h"

#include <ATen/ops/tensor.h>

#include <algorithm>
#include <cstdio>
#include <fstream>

#include "dist/device/device.h"
#include "model/evaluation/queries.h"

namespace cllm {
namespace {

constexpr double kMiB = 1024.0 * 1024.0;

/// The most that was ever resident of this process: program, libraries, mapped backbone, tables, everything on the way.
double peak_host_bytes() {
  std::ifstream status("/proc/self/status");
  for (std::string text; std::getline(status, text);) {
    if (text.starts_with("VmHWM:")) return 1024.0 * std::stod(text.substr(6));
  }
  return 0;
}

double largest_over_ranks(Communicator& comm, double value) {
  at::Tensor out = at::tensor({value}, at::kDouble);
  comm.all_reduce(out, ReduceOp::kMax);
  return out.item<double>();
}

/// Of the first blocks of users that this rank validates, the one with the most training items.
std::vector<int64_t> largest_block(const Corpus& corpus, int64_t block, const Communicator& comm) {
  constexpr int64_t kBlocks = 64;
  std::vector<int64_t> users, best;
  int64_t items = 0, most = -1;
  const int64_t num_users = corpus.vocabulary().num_users, end = kBlocks * block * comm.world_size();
  for (int64_t user = comm.rank(); user < std::min(num_users, end); user += comm.world_size()) {
    users.push_back(user);
    items += corpus.num_items(user, Part::kTrain);
    if (std::ssize(users) < block && user + comm.world_size() < num_users) continue;
    if (items > most) best = users;
    most = std::max(most, items);
    items = 0;
    users.clear();
  }
  return best;
}

}  // namespace

MemoryPlan rehearse(Recommender& model, const Corpus& corpus, Communicator& comm, const RehearsalOptions& options) {
  model.reset_optimizer();
  model.rehearse();
  if (model.ranks()) {
    const std::vector<int64_t> users = largest_block(corpus, options.batch_users, comm);
    rank_users(model, corpus, comm, users, {.k = 1, .batch_users = options.batch_users},
               [](const RankingQuery&, const std::vector<ScoredItem>&) {});
  }
  const Store store = model.store();
  double tables = 0, moments = 0, dense = 0;
  for (const NamedTable& named : store.tables) {
    tables += static_cast<double>(named.table->weight.nbytes());
    for (const RowState& state : named.table->state) moments += static_cast<double>(state.rows.nbytes());
  }
  for (const NamedTensor& tensor : store.trained()) dense += static_cast<double>(tensor.value.nbytes());
  constexpr double kHeapGrowth = 1.04;  // runs of hours ended 2 to 11 % above a rehearsal's peak
  // Of weights, their two moments and their gradients the weights are there, and were rehearsed.
  MemoryPlan plan{.rehearsed = kHeapGrowth * peak_host_bytes(),
                  .optimizer = moments + dense * 2 / 3,
                  .snapshot = tables + moments + dense};
  if (!options.device.is_cpu()) {  // the moments are there already, and were rehearsed
    plan.on_gpu = static_cast<double>(peak_bytes(options.device));
    plan.optimizer = 0;
  }
  for (const NamedTable& named : store.tables) {
    if (!named.table->users_on_host) continue;  // such a table is no memory of libtorch's allocators
    const RowBytes bytes = bytes_of_rows(*named.table);
    plan.user_rows += static_cast<double>(bytes.users);
    plan.on_gpu += static_cast<double>(bytes.items);
  }
  for (double* part : {&plan.rehearsed, &plan.optimizer, &plan.snapshot, &plan.user_rows, &plan.on_gpu}) {
    *part = largest_over_ranks(comm, *part);
  }
  return plan;
}

std::string compare_with_peak(const MemoryPlan& plan, Communicator& comm) {
  const double measured = largest_over_ranks(comm, peak_host_bytes());
  char text[160];
  std::snprintf(text, sizeof text, "memory     peak %.0f MiB per rank, %.2f of the predicted %.0f MiB", measured / kMiB,
                measured / plan.process(), plan.process() / kMiB);
  return text;
}

}  // namespace cllm
