#include "model/recommenders/multi_vae/multi_vae.h"

#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/tensor.h>
#include <gtest/gtest.h>

#include <cmath>

#include "model/backbones/safetensors.h"
#include "tests/data/text/shared_files.h"
#include "tests/model/recommenders/training.h"

namespace cllm {
namespace {

using testing::gap;

namespace multi_vae {

MultiVaeOptions small(int64_t epochs = 3) {
  MultiVaeOptions options;
  options.hidden = 8;
  options.latent = 3;
  options.batch_users = 16;
  options.epochs = epochs;
  options.learning_rate = 1e-2;
  return options;
}

std::map<std::string, at::Tensor> golden(const std::string& file) {
  std::map<std::string, at::Tensor> out;
  const SafetensorsFile tensors(testing::shared("golden/cllm4rec/multivae/" + file).string());
  for (const std::string& name : tensors.names()) out[name] = tensors.tensor(name).to(at::kDouble).contiguous();
  return out;
}

/// The state that starts from the golden weights; sgd with rate 1 then leaves start minus gradient.
MultiVaeState golden_state(std::map<std::string, at::Tensor>& in, const RowLayout& layout, const RowOptimizer& sgd) {
  const auto weight = [&](const char* name) { return in.at(std::string("p.") + name + ".weight"); };
  const auto bias = [&](const char* name) { return in.at(std::string("p.") + name + ".bias"); };
  const at::Tensor w1 = weight("encoder.0").t().contiguous(),
                   w4 = at::cat({weight("decoder.1"), bias("decoder.1").unsqueeze(1)}, 1);
  const auto no_users = [](const at::Tensor& rows) { return rows.narrow(0, 0, 0); };
  MultiVaeNetwork network(w1.size(1), weight("decoder.0").size(1), at::kDouble, at::kCPU, 1);
  const std::map<std::string, at::Tensor> dense{{"b1", bias("encoder.0")},
                                                {"w2", weight("encoder.1").t()},
                                                {"b2", bias("encoder.1")},
                                                {"w3", weight("decoder.0").t()},
                                                {"b3", bias("decoder.0")}};
  for (const auto& [name, parameter] : network.parameters()) parameter.detach().copy_(dense.at(name));
  DenseAdam adam(network.parameters());
  MultiVaeState state{make_table(layout, no_users(w1), w1), make_table(layout, no_users(w4), w4), std::move(network),
                      std::move(adam)};
  sgd.reset(state.encoder);
  sgd.reset(state.decoder);
  return state;
}

/// The golden users that a rank computes.
MultiVaeInput golden_input(const std::map<std::string, at::Tensor>& in, int rank, int world_size) {
  const at::Tensor& x = in.at("x");
  const int64_t B = x.size(0);
  MultiVaeInput out;
  out.weight = 1 / static_cast<double>(B);
  std::vector<int64_t> user_K, offsets{0}, targets, mine;
  std::vector<double> value_K;
  for (int64_t user = rank; user < B; user += world_size) {
    mine.push_back(user);
    std::vector<int32_t> items;
    for (int64_t item = 0; item < x.size(1); ++item) {
      if (x[user][item].item<double>() > 0) items.push_back(static_cast<int32_t>(item));
    }
    show_items(items, 1 / std::sqrt(static_cast<double>(items.size())), out.num_sequences++, out.items_K, user_K,
               value_K);
    targets.insert(targets.end(), items.begin(), items.end());
    offsets.push_back(static_cast<int64_t>(targets.size()));
  }
  out.user_K = at::tensor(user_K, at::kLong);
  out.value_K = at::tensor(value_K, at::kDouble);
  out.noise_BZ = in.at("noise").index_select(0, at::tensor(mine, at::kLong));
  out.targets = {at::tensor(offsets, at::kLong), at::tensor(targets, at::kLong),
                 at::tensor(std::vector<double>(targets.size(), out.weight), at::kDouble)};
  return out;
}

TEST(MultiVae, LossAndGradientsAreTheGoldenOnesForAnyNumberOfRanks) {
  auto in = golden("inputs.safetensors"), wanted = golden("result.f64.safetensors");
  const auto scalars = testing::shared_json("golden/cllm4rec/index.json")["multivae"];
  const double beta = scalars["beta"];
  for (const int R : {1, 2, 3, 5}) {
    testing::run_ranks(R, [&](Communicator& comm) {
      const auto sgd = make_row_optimizer({.name = "sgd"});
      const RowLayout layout(0, in.at("x").size(1), comm.rank(), R);
      MultiVaeState state = golden_state(in, layout, *sgd);
      const at::Tensor w1 = state.encoder.weight.clone(), w4 = state.decoder.weight.clone();
      MultiVaeStep step(comm, state, *sgd, nullptr);
      const auto losses = step.gradients(golden_input(in, comm.rank(), R), beta, [] {});
      EXPECT_NEAR(losses.nll, scalars["f64"]["nll"].get<double>(), 1e-9);
      EXPECT_NEAR(losses.kl, scalars["f64"]["kl"].get<double>(), 1e-9);
      EXPECT_NEAR(losses.nll + beta * losses.kl, scalars["f64"]["loss"].get<double>(), 1e-9);

      const auto& network = state.network.parameters();
      const auto dense = [&](size_t n) { return network[n].second.grad(); };
      EXPECT_LT(gap(dense(0), wanted.at("grad/encoder.0.bias")), 1e-9);
      EXPECT_LT(gap(dense(1).t(), wanted.at("grad/encoder.1.weight")), 1e-9);
      EXPECT_LT(gap(dense(2), wanted.at("grad/encoder.1.bias")), 1e-9);
      EXPECT_LT(gap(dense(3).t(), wanted.at("grad/decoder.0.weight")), 1e-9);
      EXPECT_LT(gap(dense(4), wanted.at("grad/decoder.0.bias")), 1e-9);
      step.update(1, [] {});
      const auto here = [&](const at::Tensor& rows) {
        return rows.narrow(0, layout.items().begin(comm.rank()), layout.num_local_items());
      };
      EXPECT_LT(gap(w1 - state.encoder.weight, here(wanted.at("grad/encoder.0.weight").t())), 1e-9);
      const at::Tensor w4_gradient =
          at::cat({wanted.at("grad/decoder.1.weight"), wanted.at("grad/decoder.1.bias").unsqueeze(1)}, 1);
      EXPECT_LT(gap(w4 - state.decoder.weight, here(w4_gradient)), 1e-9);
    });
  }
}

TEST(MultiVae, RanksComputeEveryUserOfAnUpdateOnceWithTheSameDraws) {
  testing::training_corpus();
  std::map<uint64_t, at::Tensor> noise_of;
  std::mutex mutex;
  for (const int R : {1, 3}) {
    std::map<uint64_t, int> seen;
    testing::run_ranks(R, [&](Communicator& comm) {
      const Channels channels(comm);
      const MultiVaeOptions options = small();
      const auto model = testing::open_in_fp64(multi_vae_model(), options, channels);
      const auto input = model->input(model->program().at(1));
      const std::lock_guard lock(mutex);
      const auto& vae = dynamic_cast<const MultiVaeInput&>(*input);
      EXPECT_DOUBLE_EQ(vae.weight, 1.0 / 16);
      for (size_t n = 0; n < vae.keys.size(); ++n) {
        ++seen[vae.keys[n]];
        const at::Tensor noise = vae.noise_BZ[static_cast<int64_t>(n)];
        if (noise_of.contains(vae.keys[n])) {
          EXPECT_TRUE(at::equal(noise_of[vae.keys[n]], noise));
        }
        noise_of[vae.keys[n]] = noise;
      }
    });
    EXPECT_EQ(seen.size(), 16U);
    for (const auto& [key, count] : seen) EXPECT_EQ(count, 1);
  }
  EXPECT_EQ(noise_of.size(), 16U);
}

TEST(MultiVae, TrainingAndListsDoNotDependOnTheWorldSize) {
  const MultiVaeOptions options = small();
  const testing::Trained one = testing::train_and_rank(multi_vae_model(), options, 1);
  EXPECT_LT(one.losses.back(), one.losses.front());
  for (const int R : {2, 3, 4})
    testing::expect_same_training(testing::train_and_rank(multi_vae_model(), options, R), one);
}

TEST(MultiVae, StopAndGoOnGivesTheSameBits) {
  for (const int R : {1, 3}) testing::expect_resume_is_bitwise(multi_vae_model(), small(), R, 4);
}

TEST(MultiVae, AUserWithoutItemsIsRankedByFiniteScores) {
  testing::training_corpus();
  testing::run_ranks(2, [&](Communicator& comm) {
    const Channels channels(comm);
    const auto model = testing::open_in_fp64(multi_vae_model(), small(), channels);
    const std::vector<RankingQuery> queries{{}, {.user = 2, .history = {3, 1}, .masked = {1, 3}}};
    const auto lists = model->top_items(std::span(queries).first(comm.rank() == 0 ? 2 : 0), 40);
    if (comm.rank() != 0) {
      EXPECT_TRUE(lists.empty());
      return;
    }
    ASSERT_EQ(lists[0].size(), static_cast<size_t>(testing::kSmallItems));
    EXPECT_EQ(lists[1].size(), static_cast<size_t>(testing::kSmallItems - 2));
    for (const ScoredItem& item : lists[0]) EXPECT_TRUE(std::isfinite(item.score));
  });
}

TEST(MultiVae, BetaGrowsToItsCap) {
  MultiVaeOptions options;
  EXPECT_EQ(options.beta(0, 100), 0);
  EXPECT_NEAR(options.beta(17, 100), 0.04, 1e-12);
  EXPECT_NEAR(options.beta(85, 100), 0.2, 1e-12);
  EXPECT_EQ(options.beta(99, 100), 0.2);
  options.anneal_steps = 200'000;  // the source's: the cap is met after 40,000 updates
  EXPECT_LT(options.beta(39'999, 46'800), 0.2);
  EXPECT_DOUBLE_EQ(options.beta(40'000, 46'800), 0.2);
}

}  // namespace multi_vae
}  // namespace
}  // namespace cllm
