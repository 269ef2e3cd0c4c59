#include <gtest/gtest.h>

#include "model/recommenders/sasrec/sasrec.h"
#include "tests/model/recommenders/training.h"
#include "tests/support/mpi_world.h"

namespace cllm {
namespace {

TEST(SasrecOverMpi, TrainingIsThatOfOneRank) {
  SasrecOptions options;
  options.loss = SasrecLoss::kSampled;
  options.width = 8;
  options.max_length = 6;
  options.negatives = 4;
  options.batch_users = 16;
  options.epochs = 2;
  testing::expect_training_of_one_rank(sasrec_model(), options, *testing::session->world()->duplicate("sasrec"));
}

}  // namespace
}  // namespace cllm
