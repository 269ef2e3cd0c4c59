#include <gtest/gtest.h>

#include "model/recommenders/multi_vae/multi_vae.h"
#include "tests/model/recommenders/training.h"
#include "tests/support/mpi_world.h"

namespace cllm {
namespace {

TEST(MultiVaeOverMpi, TrainingIsThatOfOneRank) {
  MultiVaeOptions options;
  options.hidden = 8;
  options.latent = 3;
  options.batch_users = 16;
  options.epochs = 2;
  testing::Trained one, here;
  testing::run_ranks(1, [&](Communicator& comm) { testing::train_and_rank(multi_vae_model(), options, comm, one); });
  const auto world = testing::session->world()->duplicate("multi_vae");
  testing::train_and_rank(multi_vae_model(), options, *world, here);
  if (world->rank() == 0) {
    ASSERT_EQ(here.losses.size(), one.losses.size());
    for (size_t n = 0; n < one.losses.size(); ++n) EXPECT_NEAR(here.losses[n], one.losses[n], 1e-9);
  }
  for (size_t user = world->rank(); user < one.lists.size(); user += world->world_size()) {
    ASSERT_EQ(here.lists[user].size(), one.lists[user].size());
    for (size_t n = 0; n < one.lists[user].size(); ++n) EXPECT_EQ(here.lists[user][n].item, one.lists[user][n].item);
  }
}

}  // namespace
}  // namespace cllm
