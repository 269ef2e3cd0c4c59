#include "model/recommenders/multi_vae/multi_vae.h"

#include <ATen/ops/empty.h>
#include <ATen/ops/tensor.h>

#include <algorithm>
#include <cmath>
#include <utility>

#include "data/random.h"
#include "model/step/flops.h"
#include "model/tables/start_values.h"

namespace cllm {
namespace {

/// The start values of a model draw from streams of their own.
enum StartOf : uint64_t { kEncoder, kNetwork, kDecoder };

MultiVaeState start_state(const MultiVaeOptions& options, const OpenArguments& arguments) {
  const at::ScalarType dtype = arguments.run.precision;
  const Communicator& world = arguments.channels.world;
  const int64_t J = arguments.corpus.vocabulary().num_items, H = options.hidden;
  const RowLayout layout(0, J, world.rank(), world.world_size());
  const auto key = [&](StartOf part) { return stream_key(arguments.run.seed, Purpose::kTableInit, part); };
  const Draw weight = xavier_uniform(J, H), bias = truncated_normal(0.001);
  MultiVaeNetwork network(H, options.latent, dtype, arguments.device, key(kNetwork));
  DenseAdam dense(network.parameters());
  const Draw weight_or_bias = [&](CounterRng& random, int64_t column) {
    return column < H ? weight(random, column) : bias(random, column);
  };
  return {placed(make_drawn_table(layout, H, dtype, key(kEncoder), weight), arguments),
          placed(make_drawn_table(layout, H + 1, dtype, key(kDecoder), weight_or_bias), arguments), std::move(network),
          std::move(dense)};
}

at::Tensor normal_noise(const std::vector<uint64_t>& keys, int64_t latent, at::ScalarType dtype) {
  const auto B = static_cast<int64_t>(keys.size());
  at::Tensor noise_BZ = at::empty({B, latent}, at::kDouble);
  double* value = noise_BZ.mutable_data_ptr<double>();
  for (const uint64_t key : keys) {
    CounterRng random(stream_key(key, Purpose::kLatentNoise));
    for (int64_t z = 0; z < latent; ++z) *value++ = random.normal();
  }
  return noise_BZ.to(dtype);
}

}  // namespace

MultiVae::MultiVae(MultiVaeOptions options, const OpenArguments& arguments)
    : UserModel(arguments, {.name = "multi_vae",
                            .users = {.seed = arguments.run.seed,
                                      .batch_users = options.batch_users,
                                      .only_new = arguments.run.only_new},
                            .epochs = {.epochs = options.epochs,
                                       .learning_rate = options.learning_rate,
                                       .validate_every = arguments.run.validate_every_epochs,
                                       .patience = options.patience},
                            .rows = {.name = "adam"}}),
      options_(std::move(options)), state_(start_state(options_, arguments)),
      step_(channels_, state_, *optimizer_, levels_) {
  UserModel::reset_optimizer();
}

Store MultiVae::store() {
  return {.tables = {{"w1", &state_.encoder}, {"w4", &state_.decoder}}, .dense = {{"multi_vae.", &state_.dense}}};
}

void MultiVae::practise(const StepInput& input, const RowOptimizer& still) {
  MultiVaeStep step(channels_, state_, still, levels_);
  step.gradients(dynamic_cast<const MultiVaeInput&>(input), options_.beta_cap, [] {});
  step.drop();
}

std::unique_ptr<StepInput> MultiVae::input(const StepRef& ref) const {
  const std::vector<SampledUser> batch = users_.batch(ref);
  std::vector<int64_t> lengths;
  for (const SampledUser& sample : batch) lengths.push_back(training_length(corpus_, sample.user));
  const at::ScalarType dtype = state_.encoder.compute_dtype();

  auto out = std::make_unique<MultiVaeInput>();
  out->weight = 1 / static_cast<double>(batch.size());
  std::vector<int64_t> user_K, offsets{0}, targets;
  std::vector<double> value_K;
  for (const size_t n : share_of_rank(lengths, channels_.world.rank(), channels_.world.world_size())) {
    const auto items = corpus_.items(batch[n].user, Part::kTrain);
    CounterRng random(stream_key(batch[n].key, Purpose::kDropout));
    std::vector<int32_t> shown;
    for (const int32_t item : items) {
      if (random.uniform() >= options_.dropout) shown.push_back(item);
    }
    const double value = 1 / (std::sqrt(static_cast<double>(items.size())) * (1 - options_.dropout));
    show_items(shown, value, out->num_sequences++, out->items_K, user_K, value_K);
    targets.insert(targets.end(), items.begin(), items.end());
    offsets.push_back(static_cast<int64_t>(targets.size()));
    out->keys.push_back(batch[n].key);
  }
  out->num_tokens = offsets.back();
  out->user_K = at::tensor(user_K, at::kLong);
  out->value_K = at::tensor(value_K, at::kDouble).to(dtype);
  out->noise_BZ = normal_noise(out->keys, options_.latent, dtype);
  out->targets = {at::tensor(offsets, at::kLong), at::tensor(targets, at::kLong),
                  at::tensor(std::vector<double>(targets.size(), out->weight), at::kDouble)};
  return out;
}

StepLosses MultiVae::step(const StepInput& input, const StepSettings& settings, const NextStep*) {
  const double beta = options_.beta(settings.global_step, program_.num_steps());
  const auto losses = step_.gradients(dynamic_cast<const MultiVaeInput&>(input), beta, settings.before_change);
  step_.update(settings.learning_rate, settings.before_change);
  return {.loss = losses.nll + beta * losses.kl,
          .terms = {{"nll", losses.nll}, {"kl", losses.kl}, {"beta", beta}},
          .num_sequences = losses.num_users,
          .num_tokens = losses.num_items};
}

at::Tensor MultiVae::query_rows(std::span<const RankingQuery> queries) {
  std::vector<std::vector<int32_t>> items;
  for (const RankingQuery& query : queries) {
    items.push_back(query.history);
    std::ranges::sort(items.back());  // a user is a set: sums are taken in the order of the items
  }
  return step_.hidden(items);
}

std::vector<std::vector<ScoredItem>> MultiVae::top_items(std::span<const RankingQuery> queries, int64_t k) {
  return lists_of(state_.decoder, query_rows(queries), queries, k);
}

double MultiVae::flops(const StepInput& input, const StepSettings&) const {
  const auto& vae = dynamic_cast<const MultiVaeInput&>(input);
  const auto B = static_cast<double>(vae.num_sequences), K = static_cast<double>(vae.items_K.size());
  const auto H = static_cast<double>(options_.hidden), Z = static_cast<double>(options_.latent);
  const auto users_of_all_ranks = static_cast<int64_t>(std::lround(1 / vae.weight));
  return 3 * 2 * B * 3 * H * Z + 2 * 2 * K * H +
         head_flops(users_of_all_ranks, state_.decoder.layout.num_local_items(), options_.hidden + 1, true);
}

std::string MultiVae::describe() const {
  return "multi_vae: " + std::to_string(options_.hidden) + " hidden, " + std::to_string(options_.latent) + " latent; " +
         std::to_string(users_.num_users()) + " users with training items, " + std::to_string(users_.num_steps()) +
         " updates per epoch\n";
}

Model multi_vae_model() {
  return {.name = "multi_vae",
          .summary = "variational auto-encoder of users' items (Liang et al. 2018)",
          .options = []() -> std::unique_ptr<ModelOptions> { return std::make_unique<MultiVaeOptions>(); },
          .open = [](const ModelOptions& options, const OpenArguments& arguments) -> std::unique_ptr<Recommender> {
            return std::make_unique<MultiVae>(dynamic_cast<const MultiVaeOptions&>(options), arguments);
          },
          .takes_new = true};
}

}  // namespace cllm
