#include "dist/rows/row_exchange.h"

#include <gtest/gtest.h>

#include <ATen/ops/arange.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/full.h>
#include <ATen/ops/zeros.h>

#include <random>

#include "tests/support/gradient_sum.h"
#include "tests/support/mpi_world.h"

namespace cllm::testing {
namespace {

constexpr int64_t kWidth = 5;

/// Value d of a global row: 10 row + d.
at::Tensor expected_rows(const at::Tensor& rows, at::ScalarType type) {
  return rows.mul(10).unsqueeze(1).add(at::arange(kWidth, at::kLong)).to(type);
}

struct World {
  World(int64_t num_users, int64_t num_items) : layout(num_users, num_items, session->rank(), session->world_size()) {}

  at::Tensor global_rows() const {
    at::Tensor rows = at::empty({layout.num_local_rows()}, at::kLong);
    for (int64_t n = 0; n < rows.numel(); ++n) rows[n].fill_(layout.global(n));
    return rows;
  }

  std::unique_ptr<Communicator> comm = session->world(60);
  RowLayout layout;
};

/// What a rank asks for: `count` rows with repetitions; different on every rank, empty on rank 1 of every third draw.
std::vector<int32_t> asked_rows(int rank, int draw, int64_t count, int64_t num_rows) {
  std::vector<int32_t> rows;
  if (num_rows == 0 || (draw % 3 == 1 && rank == 1)) return rows;
  std::mt19937 random(static_cast<unsigned>(rank + 100 * draw));
  for (int64_t n = 0; n < count; ++n) rows.push_back(static_cast<int32_t>(random() % static_cast<unsigned>(num_rows)));
  return rows;
}

class RowExchangeOfSizes : public ::testing::TestWithParam<std::pair<int64_t, int64_t>> {};

TEST_P(RowExchangeOfSizes, EveryAskedRowArrivesAtItsPlace) {
  World world(GetParam().first, GetParam().second);
  RowExchange exchange(*world.comm, world.layout);
  for (const at::ScalarType type : {at::kFloat, at::kDouble, at::kBFloat16}) {
    const at::Tensor local = expected_rows(world.global_rows(), type);
    for (int draw = 0; draw < 4; ++draw) {
      const std::vector<int32_t> asked = asked_rows(session->rank(), draw, 40, world.layout.num_rows());
      const Route route = exchange.route(asked);
      const at::Tensor rows_UD = exchange.fetch(route, local);
      const at::Tensor rows_TD = rows_UD.index_select(0, route.inverse_T);
      at::Tensor asked_T = at::empty({static_cast<int64_t>(asked.size())}, at::kLong);
      for (size_t n = 0; n < asked.size(); ++n) asked_T[static_cast<int64_t>(n)].fill_(asked[n]);
      EXPECT_TRUE(at::equal(rows_TD, expected_rows(asked_T, type))) << "draw " << draw;
      EXPECT_TRUE(at::equal(route.unique_rows_U.index_select(0, route.inverse_T), asked_T));
    }
  }
}

TEST_P(RowExchangeOfSizes, RoutesAreDistinctSortedAndAgreeBetweenRanks) {
  World world(GetParam().first, GetParam().second);
  RowExchange exchange(*world.comm, world.layout);
  const Route route = exchange.route(asked_rows(session->rank(), 0, 40, world.layout.num_rows()));
  int64_t begin = 0;
  for (int owner = 0; owner < session->world_size(); ++owner) {
    for (int64_t n = begin; n < begin + route.ask[owner]; ++n) {
      EXPECT_EQ(world.layout.owner(route.unique_rows_U[n].item<int64_t>()), owner);
      if (n > begin) {
        EXPECT_LT(route.unique_rows_U[n - 1].item<int64_t>(), route.unique_rows_U[n].item<int64_t>());
      }
    }
    begin += route.ask[owner];
  }
  EXPECT_EQ(begin, route.unique_rows_U.numel());
  EXPECT_TRUE(at::equal(route.touched_local_M.index_select(0, route.touched_of_served_P), route.served_local_P));
  EXPECT_TRUE(route.touched_local_M.numel() < 2 || route.touched_local_M.diff().gt(0).all().item<bool>());
}

TEST_P(RowExchangeOfSizes, GradientsOfAllAskersAreSummedAtTheOwner) {
  World world(GetParam().first, GetParam().second);
  RowExchange exchange(*world.comm, world.layout);
  for (const at::ScalarType type : {at::kFloat, at::kDouble}) {
    for (int draw = 0; draw < 3; ++draw) {
      const Route route = exchange.route(asked_rows(session->rank(), draw, 40, world.layout.num_rows()));
      // Rank r sends (r + 1) * (10 row + d) for every distinct row that it asked for.
      const at::Tensor gradients_UD = expected_rows(route.unique_rows_U, type).mul(session->rank() + 1);
      const at::Tensor sums_MD = testing::returned_sums(exchange, route, gradients_UD);

      at::Tensor weight = at::zeros({world.layout.num_rows()}, at::kLong);
      for (int r = 0; r < session->world_size(); ++r) {
        std::vector<bool> seen(static_cast<size_t>(world.layout.num_rows()), false);
        for (const int32_t row : asked_rows(r, draw, 40, world.layout.num_rows())) {
          if (!seen[row]) weight[row].add_(r + 1);
          seen[row] = true;
        }
      }
      const at::Tensor touched_global = world.global_rows().index_select(0, route.touched_local_M);
      const at::Tensor factor = weight.index_select(0, touched_global).unsqueeze(1).to(type);
      EXPECT_TRUE(at::equal(sums_MD, expected_rows(touched_global, type).mul(factor))) << "draw " << draw;
      // Nothing that was asked for is left out.
      const at::Tensor mine = weight.index_select(0, world.global_rows());
      EXPECT_EQ(mine.gt(0).sum().item<int64_t>(), route.touched_local_M.numel());
    }
  }
}

TEST_P(RowExchangeOfSizes, NobodyAskingForAnythingIsANormalStep) {
  World world(GetParam().first, GetParam().second);
  RowExchange exchange(*world.comm, world.layout);
  const Route route = exchange.route({});
  EXPECT_EQ(exchange.fetch(route, expected_rows(world.global_rows(), at::kFloat)).sizes(),
            at::IntArrayRef({0, kWidth}));
  EXPECT_EQ(testing::returned_sums(exchange, route, at::empty({0, kWidth}, at::kFloat)).sizes(),
            at::IntArrayRef({0, kWidth}));
}

INSTANTIATE_TEST_SUITE_P(UsersItems, RowExchangeOfSizes,
                         ::testing::Values(std::pair<int64_t, int64_t>{23, 17}, std::pair<int64_t, int64_t>{1000, 50},
                                           std::pair<int64_t, int64_t>{2, 1}, std::pair<int64_t, int64_t>{0, 7},
                                           std::pair<int64_t, int64_t>{5, 0}));

TEST(RowExchange, SumsAreTakenInRankOrder) {
  World world(1, 0);
  RowExchange exchange(*world.comm, world.layout);
  const float of_rank[] = {1e8F, 1.F, -1e8F, 1.F};  // every other order gives another fp32 sum
  const std::vector<int32_t> row = {0};
  const Route route = exchange.route(row);
  const at::Tensor sum =
      testing::returned_sums(exchange, route, at::full({1, 1}, of_rank[session->rank()], at::kFloat));
  float expected = 0;
  for (int r = 0; r < session->world_size(); ++r) expected += of_rank[r];
  if (world.layout.num_local_rows() == 1) {
    EXPECT_EQ(sum.item<float>(), expected);
  }
}

TEST(RowExchange, RowOutsideTheTableIsRefused) {
  World world(3, 4);
  RowExchange exchange(*world.comm, world.layout);
  EXPECT_THROW(exchange.route(std::vector<int32_t>{7}), c10::Error);
  EXPECT_THROW(exchange.route(std::vector<int32_t>{-1}), c10::Error);
}

}  // namespace
}  // namespace cllm::testing
