#include "model/recommenders/user_epochs.h"

#include "data/random.h"
#include "data/sampling/assign.h"
#include "data/sampling/order.h"
#include "data/sampling/plan.h"

namespace cllm {
namespace {

UserStream users_with(const Corpus& corpus, const UserEpochOptions& options) {
  std::vector<int64_t> left_out;
  const int64_t I = corpus.vocabulary().num_users;
  for (int64_t user = 0; user < I; ++user) {
    if (training_length(corpus, user) < options.least_items || (options.only_new && corpus.num_new(user) == 0))
      left_out.push_back(user);
  }
  return UserStream(I, left_out);
}

BatchShape shape_of(const UserEpochOptions& options) {
  return {.group_size = options.batch_users, .groups_per_batch = 1};
}

}  // namespace

std::vector<int32_t> training_history(const Corpus& corpus, int64_t user) {
  const auto items = corpus.history(user, Part::kTrain);
  return {items.begin(), items.end()};
}

int64_t training_length(const Corpus& corpus, int64_t user) { return corpus.num_items(user, Part::kTrain); }

UserEpochs::UserEpochs(const Corpus& corpus, const UserEpochOptions& options)
    : users_(users_with(corpus, options)), options_(options) {}

int64_t UserEpochs::num_steps() const { return shape_of(options_).num_steps(users_.size()); }

std::vector<SampledUser> UserEpochs::batch(const StepRef& ref) const {
  const auto stage = static_cast<uint64_t>(ref.stage), epoch = static_cast<uint64_t>(ref.epoch);
  const EpochOrder order(users_.size(), SampleOrder::kShuffled,
                         stream_key(options_.seed, Purpose::kEpochOrder, stage, epoch));
  const uint64_t key = stream_key(options_.seed, Purpose::kUserDraws, stage, epoch);
  std::vector<SampledUser> out;
  for (const PlannedSample& planned : plan_step(order, users_.size(), shape_of(options_), ref.step)) {
    const int64_t user = users_.user(planned.sample);
    out.push_back({user, stream_key(key, Purpose::kUserDraws, static_cast<uint64_t>(user))});
  }
  return out;
}

std::vector<size_t> share_of_rank(std::span<const int64_t> lengths, int rank, int world_size) {
  const std::vector<int> ranks = assign_balanced(lengths, world_size);
  std::vector<size_t> out;
  for (size_t n = 0; n < ranks.size(); ++n) {
    if (ranks[n] == rank) out.push_back(n);
  }
  return out;
}

Program program_of_epochs(const std::string& task, int64_t steps_per_epoch, const EpochOptions& options) {
  std::vector<Segment> segments;
  for (int64_t epoch = 0; epoch < options.epochs; ++epoch) {
    const bool due = options.validate_every > 0 && (epoch + 1) % options.validate_every == 0;
    const double done = static_cast<double>(epoch) / static_cast<double>(options.epochs);
    segments.push_back({.stage = 0,
                        .epoch = epoch,
                        .num_epochs = options.epochs,
                        .learning_rate = options.learning_rate * (options.decay == EpochDecay::kLinear ? 1 - done : 1),
                        .validate_after = due || epoch + 1 == options.epochs,
                        .patience = options.patience,
                        .streams = {{.task = 0, .num_steps = steps_per_epoch}}});
  }
  return Program({"train"}, {task}, segments);
}

}  // namespace cllm
