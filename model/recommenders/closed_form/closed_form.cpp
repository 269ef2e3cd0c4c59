#include "model/recommenders/closed_form/closed_form.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/ones.h>

namespace cllm {

HostRanks::HostRanks(const OpenArguments& arguments)
    : own_(arguments.device.is_cpu() ? nullptr : arguments.channels.exchange.duplicate_on_host("rows on the host")),
      comm_(own_ ? own_.get() : &arguments.channels.exchange), levels_(own_ ? nullptr : arguments.levels) {}

RowExchange HostRanks::exchange(const RowLayout& layout) const {
  return levels_ != nullptr ? RowExchange(*levels_, layout) : RowExchange(*comm_, layout);
}

std::unique_ptr<StepInput> count_training_rows(const Corpus& corpus, const RowPartition& users, int rank) {
  auto out = std::make_unique<StepInput>();
  for (int64_t user = users.begin(rank); user < users.end(rank); ++user) {
    const int64_t items = corpus.num_items(user, Part::kTrain);
    out->num_sequences += items > 0;
    out->num_tokens += items;
  }
  return out;
}

void sum_counts(Communicator& comm, const StepInput& input, StepLosses& losses) {
  at::Tensor counts = at::empty({2}, at::kLong);
  auto* const values = counts.mutable_data_ptr<int64_t>();
  values[0] = input.num_sequences, values[1] = input.num_tokens;
  comm.all_reduce(counts, ReduceOp::kSum);
  losses.num_sequences = values[0], losses.num_tokens = values[1];
}

ClosedForm::ClosedForm(std::string name, const OpenArguments& arguments)
    : corpus_(arguments.corpus), ranks_(arguments), name_(std::move(name)), agreed_(arguments.agreed),
      program_({"fit"}, {"fit"}, {{.validate_after = true, .streams = {{.task = 0, .num_steps = 1}}}}) {
  table_.layout = ranks_.layout(0, num_items());
}

void ClosedForm::make_rows(int64_t width, int64_t working_bytes) {
  working_bytes_ = working_bytes;
  table_.weight = lazy_zeros({table_.layout.num_local_rows(), width}, at::kFloat);
}

void ClosedForm::agreed(const std::function<void()>& work) const {
  if (agreed_) return agreed_(work);
  work();
}

std::unique_ptr<StepInput> ClosedForm::input(const StepRef& ref) const {
  static_cast<void>(ref);
  const int rank = ranks_.comm().rank();
  return count_training_rows(corpus_, RowPartition(num_users(), ranks_.comm().world_size()), rank);
}

StepLosses ClosedForm::step(const StepInput& input, const StepSettings& settings, const NextStep* next) {
  static_cast<void>(next);
  settings.before_change();
  StepLosses losses = fit();
  ++table_.step;
  sum_counts(ranks_.comm(), input, losses);
  return losses;
}

void ClosedForm::rehearse() {
  table_.weight.mul_(1);  // every row will be written: its memory counts
  at::ones({working_bytes_}, at::kByte);
}

double ClosedForm::gram_flops() const {
  double sum = 0;
  for (int64_t user = 0; user < num_users(); ++user) {
    const auto n = static_cast<double>(corpus_.num_items(user, Part::kTrain));
    sum += n * n;
  }
  return sum / ranks_.comm().world_size();
}

std::string ClosedForm::describe() const {
  return name_ + ": " + std::to_string(num_items()) + " item rows of " + std::to_string(table_.width()) +
         " values, fitted in one step";
}

}  // namespace cllm
