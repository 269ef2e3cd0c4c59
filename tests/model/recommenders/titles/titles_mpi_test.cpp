#include <gtest/gtest.h>

#include "tests/model/recommenders/titles/small_titles.h"
#include "tests/model/recommenders/training.h"
#include "tests/support/mpi_world.h"

namespace cllm {
namespace {

TEST(TitlesOverMpi, TrainingIsThatOfOneRank) {
  const testing::SmallGpt2 folder(8192);
  TitlesOptions options = testing::small_titles_options(folder.dir());
  options.objective.teacher.model = TeacherModel::kEase;
  options.objective.teacher.beta = 0.5;
  testing::expect_training_of_one_rank(titles_model(), options, *testing::session->world()->duplicate("titles"));
}

}  // namespace
}  // namespace cllm
