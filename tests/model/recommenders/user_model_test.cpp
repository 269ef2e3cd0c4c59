#include "model/recommenders/user_model.h"

#include <gtest/gtest.h>

#include "model/errors.h"
#include "model/recommenders/multi_vae/multi_vae.h"
#include "model/recommenders/sasrec/sasrec.h"
#include "tests/model/recommenders/counted_flops.h"
#include "tests/model/recommenders/training.h"

namespace cllm::user_model_tests {
namespace {

MultiVaeOptions small_vae() {
  MultiVaeOptions options;
  options.hidden = 8, options.latent = 3, options.batch_users = 16, options.epochs = 2;
  return options;
}

SasrecOptions small_sasrec(SasrecLoss loss, SasrecBlocks blocks = SasrecBlocks::kAuthors) {
  SasrecOptions options;
  options.loss = loss, options.encoder = blocks;
  options.width = 8, options.heads = 2, options.max_length = 6, options.negatives = 4, options.batch_users = 16;
  options.epochs = 2;
  return options;
}

void expect_rehearsal_changes_nothing(const Model& line, const ModelOptions& options, int world_size) {
  testing::training_corpus();
  testing::run_ranks(world_size, [&](Communicator& comm) {
    const Channels channels(comm);
    const auto rehearsed = testing::open_in_fp64(line, options, channels),
               plain = testing::open_in_fp64(line, options, channels);
    const testing::SavedStore before = testing::save(rehearsed->store());
    rehearsed->rehearse();
    EXPECT_TRUE(testing::same_bits(testing::save(rehearsed->store()), before)) << line.name;
    const int64_t steps = rehearsed->program().num_steps();
    const auto losses = testing::train(*rehearsed, 0, steps), wanted = testing::train(*plain, 0, steps);
    for (size_t n = 0; n < losses.size(); ++n) EXPECT_EQ(losses[n].loss, wanted[n].loss) << line.name;
    EXPECT_TRUE(testing::same_bits(testing::save(rehearsed->store()), testing::save(plain->store()))) << line.name;
  });
}

TEST(UserModel, ARehearsalChangesNeitherStateNorTraining) {
  for (const int ranks : {1, 3}) {
    expect_rehearsal_changes_nothing(multi_vae_model(), small_vae(), ranks);
    for (const SasrecLoss loss : {SasrecLoss::kBce, SasrecLoss::kFull})
      expect_rehearsal_changes_nothing(sasrec_model(), small_sasrec(loss), ranks);
  }
}

TEST(UserModel, ItRehearsesAStepWithAllItsProducts) {
  testing::training_corpus();
  testing::run_ranks(1, [](Communicator& comm) {
    const Channels channels(comm);
    const auto model = testing::open_in_fp64(multi_vae_model(), small_vae(), channels);
    const auto input = model->input(model->program().at(0));
    EXPECT_GE(testing::counted_flops([&] { model->rehearse(); }),
              testing::counted_flops([&] { model->step(*input, {}, nullptr); }));
  });
}

TEST(UserModel, Bf16IsRefusedByTheNameOfTheModel) {
  testing::training_corpus();
  testing::run_ranks(1, [](Communicator& comm) {
    const Channels channels(comm);
    try {
      sasrec_model().open(small_sasrec(SasrecLoss::kBce), {.corpus = testing::training_corpus(),
                                                           .channels = channels,
                                                           .run = {.precision = at::kBFloat16},
                                                           .agreed = {}});
      ADD_FAILURE() << "not refused";
    } catch (const ModelError& error) {
      EXPECT_NE(std::string(error.what()).find("sasrec computes in fp32 or fp64"), std::string::npos) << error.what();
    }
  });
}

/// What a first step says of its operations, and what libtorch's products of it are.
struct Compared {
  double said, counted;
};

template <typename Input>
Compared compare_flops(const Model& line, const ModelOptions& options,
                       const std::function<double(const Input&)>& rest) {
  Compared out{};
  testing::training_corpus();
  testing::run_ranks(1, [&](Communicator& comm) {
    const Channels channels(comm);
    const auto model = testing::open_in_fp64(line, options, channels);
    const auto input = model->input(model->program().at(0));
    out.said = model->flops(*input, {}) - rest(dynamic_cast<const Input&>(*input));
    out.counted = testing::counted_flops([&] { model->step(*input, {}, nullptr); });
  });
  return out;
}

TEST(UserModel, FlopsOfMultiVaeAreItsProductsAndTheSumsOfShownRows) {
  const auto [said, counted] = compare_flops<MultiVaeInput>(multi_vae_model(), small_vae(), [](const auto& input) {
    return 4.0 * 8 * static_cast<double>(input.items_K.size());
  });
  EXPECT_DOUBLE_EQ(said, counted);
  EXPECT_GT(counted, 0);
}

TEST(UserModel, FlopsOfSasrecAreItsProductsAndItsAttention) {
  const auto attention = [](const SasrecInput& input) {  // of two blocks: forward and twice that backward
    double pairs = 0;
    for (const int64_t length : input.lengths) pairs += static_cast<double>(length * length);
    return 3 * 2 * 2 * pairs * 8;
  };
  for (const SasrecBlocks blocks : {SasrecBlocks::kAuthors, SasrecBlocks::kStandard}) {
    const auto [said, counted] =
        compare_flops<SasrecInput>(sasrec_model(), small_sasrec(SasrecLoss::kFull, blocks), attention);
    EXPECT_DOUBLE_EQ(said, counted);
  }
  const auto with_scores = [&](const SasrecInput& input) {  // these are no products of libtorch
    return attention(input) + 3 * 2 * 2 * 8 * static_cast<double>(input.num_tokens);
  };
  const auto [said, counted] = compare_flops<SasrecInput>(sasrec_model(), small_sasrec(SasrecLoss::kBce), with_scores);
  EXPECT_DOUBLE_EQ(said, counted);
}

}  // namespace
}  // namespace cllm::user_model_tests
