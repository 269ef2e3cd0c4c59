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
  testing::expect_training_of_one_rank(multi_vae_model(), options, *testing::session->world()->duplicate("multi_vae"));
}

}  // namespace
}  // namespace cllm
