#include "launch/plan/memory_plan.h"

#include <ATen/ops/tensor.h>

#include <algorithm>
#include <cstdio>
#include <fstream>

#include "dist/device/device.h"
#include "launch/run/ranker.h"
#include "model/step/train_step.h"

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

/// Of the first steps of an epoch, the one with the most tokens.
int64_t largest_step(const Sampler& sampler, StepKind kind) {
  constexpr int64_t kSteps = 64;
  int64_t best = 0, most = -1;
  for (int64_t step = 0; step < std::min(kSteps, sampler.num_steps(kind)); ++step) {
    const int64_t tokens = sampler.batch({.kind = kind, .step = step}, 0, 1).num_tokens();
    if (tokens > most) best = step;
    most = std::max(most, tokens);
  }
  return best;
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

MemoryPlan rehearse(Workspace& workspace, const Schedule& schedule, const Channels& channels) {
  Communicator& comm = channels.world;
  const RunConfig& config = workspace.config;
  RecModel& model = workspace.model;
  for (Table* table : {&model.collaborative, &model.content}) workspace.optimizer->reset(*table);
  TrainStep step(channels, model, *workspace.optimizer, workspace.levels.get());
  const DropoutRates& rates = workspace.backbone_dropout;
  for (const StepKind kind : schedule.kinds()) {
    const StepId id{.kind = kind, .step = largest_step(workspace.sampler, kind)};
    kernels::RowGradient dropped;
    step.gradients(workspace.sampler.batch(id, comm.rank(), comm.world_size()),
                   {.lambda = 1,
                    .dropout = {rates.embedding, rates.attention, rates.residual},
                    .item_softmax = workspace.item_head(kind).form,
                    .negatives = config.optimizer.negatives},
                   dropped);
  }
  for (const auto& [name, parameter] : model.backbone->parameters()) parameter.mutable_grad() = at::Tensor();
  const std::vector<int64_t> users = largest_block(workspace.corpus, config.evaluation.batch_users, comm);
  rank_users(workspace, comm, users, {.k = 1}, [](int64_t, const std::vector<ScoredItem>&) {});

  double tables = 0, moments = 0;
  for (const Table* table : {&model.collaborative, &model.content}) {
    tables += static_cast<double>(table->weight.nbytes());
    for (const at::Tensor* moment : {&table->moment1, &table->moment2}) {
      if (moment->defined()) moments += static_cast<double>(moment->nbytes());
    }
  }
  double backbone = 0;
  if (config.run.train_backbone) {
    for (const auto& [name, parameter] : model.backbone->parameters())
      backbone += static_cast<double>(parameter.nbytes());
  }
  constexpr double kHeapGrowth = 1.04;  // runs of hours ended 2 to 11 % above a rehearsal's peak
  MemoryPlan plan{.rehearsed = kHeapGrowth * peak_host_bytes(),
                  .optimizer = moments + 2 * backbone,
                  .snapshot = tables + moments + 3 * backbone};
  if (!workspace.device.is_cpu()) {  // the moments are there already, and were rehearsed
    plan.on_gpu = static_cast<double>(peak_bytes(workspace.device));
    plan.optimizer = 0;
  }
  for (const Table* table : {&model.collaborative, &model.content}) {
    if (!table->users_on_host) continue;  // such a table is no memory of libtorch's allocators
    const RowBytes bytes = bytes_of_rows(*table);
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
