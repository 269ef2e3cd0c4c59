#include "model/recommenders/cllm4rec/head/standardise.h"

#include <gtest/gtest.h>

#include <ATen/TensorOperators.h>

#include <cmath>
#include <mutex>
#include <vector>

#include "model/recommenders/cllm4rec/cllm4rec.h"
#include "tests/model/recommenders/cllm4rec/l_stage.h"
#include "tests/model/recommenders/training.h"

namespace cllm {
namespace {

namespace standardised_head {

Cllm4recOptions options_of(HeadKind head) {
  Cllm4recOptions options = testing::l_stage_options();
  options.head = head;
  return options;
}

TEST(Standardise, AFreshTableStartsNearLnJAndEveryNumberOfRanksFindsTheSameNumbers) {
  std::vector<std::vector<NamedTensor>> kept;
  std::mutex mutex;
  for (const int world_size : {1, 2, 3}) {
    testing::run_ranks(world_size, [&](Communicator& comm) {
      const Channels channels(comm);
      const auto model = testing::open_in_fp64(cllm4rec_model(), options_of(HeadKind::kStandardised), channels);
      const double first = testing::train(*model, 0, 1)[0].loss;
      EXPECT_NEAR(first, std::log(testing::kSmallItems), 0.25);
      const std::lock_guard lock(mutex);
      kept.push_back(model->store().kept);
    });
  }
  for (const auto& of_rank : kept) {
    ASSERT_EQ(of_rank.size(), 2U);
    EXPECT_EQ(of_rank[0].name, "head.mean");
    for (size_t n = 0; n < 2; ++n) EXPECT_EQ(testing::gap(of_rank[n].value, kept[0][n].value), 0);
    EXPECT_GT(of_rank[1].value.min().item<double>(), 0);
  }
}

TEST(Standardise, HeadsOfFreeRowsTrainTheSameOnAnyNumberOfRanksAndResumeBitwise) {
  for (const HeadKind head : {HeadKind::kStandardised, HeadKind::kCosine}) {
    Cllm4recOptions options = options_of(head);
    options.backbone = "none";
    options.random_backbone = false;
    options.bag_width = 8;
    const testing::Trained one = testing::train_and_rank(cllm4rec_model(), options, 1);
    testing::expect_same_training(testing::train_and_rank(cllm4rec_model(), options, 2), one);
    testing::expect_resume_is_bitwise(cllm4rec_model(), options, 2, 3);
  }
}

}  // namespace standardised_head
}  // namespace
}  // namespace cllm
