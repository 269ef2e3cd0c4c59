#include "model/recommenders/sasrec/sasrec.h"

#include <ATen/ops/tensor.h>

#include <algorithm>
#include <cmath>
#include <utility>

#include "data/random.h"
#include "model/step/flops.h"
#include "model/tables/start_values.h"

namespace cllm {
namespace {

/// The start values of the model draw from streams of their own.
enum SasrecStart : uint64_t { kItemRows, kLayers };

SasrecState start_of(const SasrecOptions& options, const OpenArguments& arguments) {
  const at::ScalarType dtype = arguments.run.precision;
  const Communicator& world = arguments.channels.world;
  const int64_t J = arguments.corpus.vocabulary().num_items, D = options.width;
  const auto key = [&](SasrecStart part) { return stream_key(arguments.run.seed, Purpose::kTableInit, part); };
  const Draw draw = options.encoder == SasrecBlocks::kAuthors ? xavier_uniform(J, D) : xavier_normal(J, D);
  SasrecEncoder encoder(options, dtype, arguments.device, key(kLayers));
  DenseAdam dense(encoder.parameters(), 0.9, options.beta2);
  const RowLayout layout(0, J, world.rank(), world.world_size());
  return {placed(make_drawn_table(layout, D, dtype, key(kItemRows), draw), arguments), std::move(encoder),
          std::move(dense)};
}

/// An item that is not among `items` (ascending); any one if they are all.
int32_t other_item(std::span<const int32_t> items, int64_t num_items, CounterRng& random) {
  const auto draw = [&] { return static_cast<int32_t>(random.below(static_cast<uint64_t>(num_items))); };
  int32_t item = draw();
  if (static_cast<int64_t>(items.size()) >= num_items) return item;
  while (std::ranges::binary_search(items, item)) item = draw();
  return item;
}

}  // namespace

Sasrec::Sasrec(const SasrecOptions& options, const OpenArguments& arguments)
    : UserModel(arguments, {.name = "sasrec",
                            .users = {.seed = arguments.run.seed,
                                      .batch_users = options.batch_users,
                                      .least_items = 2,
                                      .only_new = arguments.run.only_new},
                            .epochs = {.epochs = options.epochs,
                                       .learning_rate = options.learning_rate,
                                       .decay = options.decay,
                                       .validate_every = arguments.run.validate_every_epochs,
                                       .patience = options.patience},
                            .rows = {.name = "adam", .beta2 = options.beta2}}),
      options_(options), seed_(arguments.run.seed), state_(start_of(options, arguments)),
      step_(options_, channels_, state_, *optimizer_, levels_) {
  UserModel::reset_optimizer();
}

Store Sasrec::store() { return {.tables = {{"e", &state_.items}}, .dense = {{"sasrec.", &state_.dense}}}; }

void Sasrec::practise(const StepInput& input, const RowOptimizer& still) {
  SasrecStep step(options_, channels_, state_, still, levels_);
  step.gradients(dynamic_cast<const SasrecInput&>(input), [] {});
  step.drop();
}

int64_t Sasrec::positions_of(int64_t user) const {
  return std::min(training_length(corpus_, user) - 1, options_.max_length);
}

/// Behind the targets: one per position for bce, `negatives` per sequence or of the update for the other losses.
void Sasrec::add_negatives(SasrecInput& input, const std::vector<SampledUser>& users, uint64_t update_key) const {
  const int64_t J = corpus_.vocabulary().num_items;
  if (options_.loss == SasrecLoss::kBce) {
    for (size_t n = 0; n < users.size(); ++n) {
      CounterRng random(stream_key(users[n].key, Purpose::kNegatives));
      const auto items = corpus_.items(users[n].user, Part::kTrain);
      for (int64_t i = 0; i < input.lengths[n]; ++i) input.rows.push_back(other_item(items, J, random));
    }
    return;
  }
  std::vector<uint64_t> keys;
  if (options_.negatives_of == SasrecNegatives::kOfUpdate) {
    keys = {update_key};
    input.sharing = {input.num_tokens};
  } else {
    for (const SampledUser& sample : users) keys.push_back(sample.key);
    input.sharing = input.lengths;
  }
  std::vector<int64_t> negatives;
  for (const uint64_t key : keys) {
    CounterRng random(stream_key(key, Purpose::kNegatives));
    for (int64_t i = 0; i < options_.negatives; ++i)
      negatives.push_back(static_cast<int64_t>(random.below(static_cast<uint64_t>(J))));
  }
  input.rows.insert(input.rows.end(), negatives.begin(), negatives.end());
  input.negatives_Gk = at::tensor(negatives, at::kLong).view({static_cast<int64_t>(keys.size()), -1});
}

std::unique_ptr<StepInput> Sasrec::input(const StepRef& ref) const {
  const std::vector<SampledUser> batch = users_.batch(ref);
  std::vector<int64_t> positions;
  int64_t all_positions = 0;
  for (const SampledUser& sample : batch) {
    positions.push_back(positions_of(sample.user));
    all_positions += positions.back();
  }
  auto out = std::make_unique<SasrecInput>();
  out->weight = 1 / static_cast<double>(all_positions);
  std::vector<SampledUser> mine;
  std::vector<int64_t> targets;
  for (const size_t n : share_of_rank(positions, channels_.world.rank(), channels_.world.world_size())) {
    const std::vector<int32_t> history = training_history(corpus_, batch[n].user);
    const auto end = history.end() - 1, begin = end - positions[n];
    out->rows.insert(out->rows.end(), begin, end);
    targets.insert(targets.end(), begin + 1, history.end());
    out->lengths.push_back(positions[n]);
    out->keys.push_back(batch[n].key);
    mine.push_back(batch[n]);
  }
  out->num_sequences = static_cast<int64_t>(mine.size());
  out->num_tokens = static_cast<int64_t>(targets.size());
  out->target_T = at::tensor(targets, at::kLong);
  out->histories =
      make_histories(out->lengths, options_.max_length, options_.dropout > 0 ? out->keys : std::vector<uint64_t>());
  if (options_.loss != SasrecLoss::kFull) {
    for (const int64_t target : targets) out->rows.push_back(static_cast<int32_t>(target));
    const uint64_t epoch_key = stream_key(seed_, Purpose::kNegatives, static_cast<uint64_t>(ref.epoch));
    if (!mine.empty()) add_negatives(*out, mine, mix64(epoch_key + static_cast<uint64_t>(ref.step)));
  }
  return out;
}

StepLosses Sasrec::step(const StepInput& input, const StepSettings& settings, const NextStep*) {
  const auto losses = step_.gradients(dynamic_cast<const SasrecInput&>(input), settings.before_change);
  step_.update(settings.learning_rate, settings.before_change);
  return {.loss = losses.loss, .num_sequences = losses.num_sequences, .num_tokens = losses.num_positions};
}

at::Tensor Sasrec::query_rows(std::span<const RankingQuery> queries) {
  std::vector<std::vector<int32_t>> histories;
  for (const RankingQuery& query : queries) histories.push_back(query.history);
  return step_.hidden(histories);
}

std::vector<std::vector<ScoredItem>> Sasrec::top_items(std::span<const RankingQuery> queries, int64_t k) {
  return lists_of(state_.items, query_rows(queries), queries, k);
}

double Sasrec::flops(const StepInput& input, const StepSettings&) const {
  const auto& sample = dynamic_cast<const SasrecInput&>(input);
  double pairs = 0;
  for (const int64_t length : sample.lengths) pairs += static_cast<double>(length * length);
  const double encoder = 3 * state_.encoder.flops(static_cast<double>(sample.num_tokens), pairs);
  if (options_.loss == SasrecLoss::kFull) {
    const auto positions_of_all_ranks = static_cast<int64_t>(std::lround(1 / sample.weight));
    return encoder + head_flops(positions_of_all_ranks, state_.items.layout.num_local_items(), options_.width, true);
  }
  const int64_t scores = options_.loss == SasrecLoss::kBce ? 2 : options_.negatives + 1;
  return encoder + head_flops(sample.num_tokens, scores, options_.width, true);
}

std::string Sasrec::describe() const {
  return "sasrec: width " + std::to_string(options_.width) + ", " + std::to_string(options_.blocks) +
         " blocks, histories of at most " + std::to_string(options_.max_length) + " items; " +
         std::to_string(users_.num_users()) + " users with two training items, " + std::to_string(users_.num_steps()) +
         " updates per epoch\n" + longer_histories();
}

std::string Sasrec::longer_histories() const {
  int64_t longer = 0;
  for (int64_t user = 0; user < corpus_.vocabulary().num_users; ++user)
    longer += corpus_.num_items(user, Part::kTrain) > options_.max_length + 1 ? 1 : 0;
  if (longer == 0) return "";
  return "histories  " + std::to_string(longer) + " of " + std::to_string(corpus_.vocabulary().num_users) +
         " are longer: their newest items are used\n";
}

Model sasrec_model() {
  return {.name = "sasrec",
          .summary = "causal attention over a user's items in order (Kang & McAuley 2018)",
          .options = []() -> std::unique_ptr<ModelOptions> { return std::make_unique<SasrecOptions>(); },
          .open = [](const ModelOptions& options, const OpenArguments& arguments) -> std::unique_ptr<Recommender> {
            return std::make_unique<Sasrec>(dynamic_cast<const SasrecOptions&>(options), arguments);
          },
          .takes_new = true};
}

}  // namespace cllm
