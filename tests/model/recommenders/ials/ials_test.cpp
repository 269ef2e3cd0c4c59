#include "model/recommenders/ials/ials.h"

#include <gtest/gtest.h>

#include <ATen/TensorOperators.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/eye.h>
#include <ATen/ops/linalg_solve.h>
#include <ATen/ops/mm.h>

#include <algorithm>
#include <cmath>

#include "tests/model/recommenders/closed_form/one_rank.h"
#include "tests/model/recommenders/counted_flops.h"
#include "tests/model/recommenders/fitted.h"

namespace cllm::ials_tests {
namespace {

using namespace testing;

IalsOptions small_ials(double nu = 1) {
  IalsOptions options;
  options.width = 5, options.epochs = 6, options.alpha0 = 0.2, options.lambda = 0.05, options.nu = nu;
  return options;
}

class IalsTest : public ::testing::Test {
 protected:
  static void SetUpTestSuite() { small_ = new SmallCorpus; }
  static void TearDownTestSuite() {
    delete small_;
    small_ = nullptr;
  }
  static const Corpus& corpus() { return small_->corpus(); }
  /// L by its definition, over all pairs.
  static double loss(const Table& table, const IalsOptions& options) {
    const at::Tensor X = training_matrix(corpus()), W = table.users().to(at::kDouble),
                     H = table.items().to(at::kDouble), Y = W.mm(H.t());
    const auto ridge = [&](const at::Tensor& rows, const at::Tensor& n, int64_t others) {
      const at::Tensor scale = (n + options.alpha0 * static_cast<double>(others)).pow(options.nu);
      return options.lambda * (scale * rows.square().sum(1)).sum().item<double>();
    };
    return (X * (Y - 1).square()).sum().item<double>() + options.alpha0 * Y.square().sum().item<double>() +
           ridge(W, X.sum(1), kSmallItems) + ridge(H, X.sum(0), kSmallUsers);
  }

 private:
  static inline SmallCorpus* small_ = nullptr;
};

TEST_F(IalsTest, LossFallsInEveryHalfEpochAndIsThatOfTheDefinition) {
  for (const double nu : {1.0, 0.0}) {
    const IalsOptions options = small_ials(nu);
    OneRank<Ials> ials(corpus(), options, {.precision = at::kDouble});
    const Program& program = ials.model.program();
    ASSERT_EQ(program.num_steps(), 12);
    const Table& table = *ials.model.store().tables[0].table;
    double before = loss(table, options);
    for (int64_t step = 0; step < program.num_steps(); ++step) {
      const StepRef ref = program.at(step);
      EXPECT_EQ(program.tasks()[static_cast<size_t>(ref.task)], step % 2 == 0 ? "users" : "items");
      const double reported = ials.model.step(*ials.model.input(ref), {.ref = ref}, nullptr).loss * kSmallUsers;
      EXPECT_NEAR(reported, loss(table, options), 1e-9 * before);
      EXPECT_LT(reported, before) << "step " << step;
      before = reported;
    }
  }
}

TEST_F(IalsTest, AHalfEpochSolvesEveryUserExactlyAgainstAllPairs) {
  const IalsOptions options = small_ials();
  OneRank<Ials> ials(corpus(), options, {.precision = at::kDouble});
  const Table& table = *ials.model.store().tables[0].table;
  const at::Tensor H = table.items().clone(), X = training_matrix(corpus());
  ials.model.step(*ials.model.input({}), {}, nullptr);
  for (int64_t user = 0; user < kSmallUsers; ++user) {
    const at::Tensor x = X[user];
    const double ridge = options.lambda * (x.sum().item<double>() + options.alpha0 * kSmallItems);
    const at::Tensor system =
        options.alpha0 * H.t().mm(H) + (H * x.unsqueeze(1)).t().mm(H) + ridge * at::eye(options.width, at::kDouble);
    const at::Tensor expected = at::linalg_solve(system, (H * x.unsqueeze(1)).sum(0));
    EXPECT_LT((table.users()[user] - expected).abs().max().item<double>(), 1e-9) << user;
  }
}

TEST_F(IalsTest, AUserOutsideTheCorpusIsRankedByItsHistoryAsOneOfTheSameHistory) {
  OneRank<Ials> ials(corpus(), small_ials());
  run_program(ials.model);
  auto known = training_queries(corpus()), unknown = known;
  for (RankingQuery& query : unknown) query.user = -1;
  const auto lists = ials.model.top_items(known, 6);
  EXPECT_EQ(ials.model.top_items(unknown, 6), lists);
  for (size_t user = 0; user < lists.size(); ++user) {
    for (const ScoredItem& entry : lists[user])
      EXPECT_FALSE(std::ranges::binary_search(known[user].masked, entry.item));
  }
}

TEST_F(IalsTest, HalfEpochsAreAPureFunctionOfRowsSoAResumedRunGoesOnBitForBit) {
  OneRank<Ials> whole(corpus(), small_ials()), resumed(corpus(), small_ials(), {.seed = 9});
  run_program(whole.model);
  OneRank<Ials> first(corpus(), small_ials());
  const Program& program = first.model.program();
  for (int64_t step = 0; step < program.num_steps(); ++step) {
    auto& model = step < 5 ? first : resumed;
    if (step == 5) resumed.rows().copy_(first.rows());
    model.model.step(*model.model.input(program.at(step)), {.ref = program.at(step)}, nullptr);
  }
  EXPECT_TRUE(resumed.rows().equal(whole.rows()));
}

TEST_F(IalsTest, StartRowsHaveTheAskedLength) {
  IalsOptions options = small_ials();
  options.width = 64, options.std = 0.5;
  OneRank<Ials> ials(corpus(), options);
  const Table& table = *ials.model.store().tables[0].table;
  EXPECT_NEAR(table.items().square().sum(1).mean().item<double>(), 0.25, 0.03);
}

TEST_F(IalsTest, ValidationComesAsOftenAsAskedAndAtTheEnd) {
  OneRank<Ials> ials(corpus(), small_ials(), {.validate_every_epochs = 4});
  std::vector<bool> after;
  for (const Segment& segment : ials.model.program().segments()) after.push_back(segment.validate_after);
  EXPECT_EQ(after, (std::vector<bool>{false, false, false, true, false, true}));
}

TEST_F(IalsTest, ARehearsalChangesNoRow) {
  OneRank<Ials> ials(corpus(), small_ials());
  const at::Tensor before = ials.rows().clone();
  ials.model.rehearse();
  EXPECT_TRUE(at::equal(ials.rows(), before));
  run_program(ials.model);
  const at::Tensor trained = ials.rows().clone();
  ials.model.rehearse();
  EXPECT_TRUE(at::equal(ials.rows(), trained));
}

TEST_F(IalsTest, FlopsAreTheProductsOfBothSidesAndTheSolvesOfARow) {
  constexpr double kWidth = 5, kPairFlops = 3 * kWidth, kRowFlops = kWidth * kWidth * kWidth / 3 + 2 * kWidth * kWidth;
  OneRank<Ials> ials(corpus(), small_ials(), {.precision = at::kDouble});
  for (int64_t step = 0; step < 2; ++step) {
    const StepRef ref = ials.model.program().at(step);
    const auto input = ials.model.input(ref);
    const double rows = ref.task == 0 ? kSmallUsers : kSmallItems,
                 solves = kPairFlops * static_cast<double>(input->num_tokens) + kRowFlops * rows;
    const double said = ials.model.flops(*input, {.ref = ref}),
                 counted = counted_flops([&] { ials.model.step(*input, {.ref = ref, .global_step = step}, nullptr); });
    EXPECT_NEAR(said - solves, counted, 1e-6) << step;
  }
}

}  // namespace
}  // namespace cllm::ials_tests
