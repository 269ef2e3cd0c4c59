#include "dist/communicator/two_level.h"

#include <ATen/Context.h>
#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/full.h>
#include <gtest/gtest.h>

#include <numeric>
#include <random>

#include "dist/rows/row_exchange.h"
#include "tests/support/gradient_sum.h"
#include "tests/support/mpi_world.h"

// Nodes that do not exist: 4 ranks are 2 nodes of 2, 2 are 2 of 1, 3 are 1 of 3.

namespace cllm::testing {
namespace {

int made_up_node() { return session->world_size() % 2 == 0 ? session->world_size() / 2 : session->world_size(); }

std::vector<int32_t> asked_rows(int draw, int64_t num_rows) {
  std::mt19937 random(static_cast<unsigned>(session->rank() + 100 * draw));
  std::vector<int32_t> rows(draw == 2 && session->rank() == 1 ? 0 : 60);
  for (int32_t& row : rows) row = static_cast<int32_t>(random() % static_cast<unsigned>(num_rows));
  return rows;
}

/// How many rows cross the border of a node on their way to this rank, or, deduplicated, to this rank for its node.
int64_t rows_from_other_nodes(const std::vector<int64_t>& ask, int own_begin, int own_end) {
  int64_t sum = 0;
  for (int rank = 0; rank < static_cast<int>(ask.size()); ++rank)
    sum += rank >= own_begin && rank < own_end ? 0 : ask[static_cast<size_t>(rank)];
  return sum;
}

int64_t over_ranks(int64_t value) {
  at::Tensor sum = at::full({1}, value, at::kLong);
  session->world(60)->all_reduce(sum, ReduceOp::kSum);
  return sum.item<int64_t>();
}

TEST(RowExchangeInTwoLevels, FetchesAndSumsTheSameRowsAsInOne) {
  const auto world = session->world(60);
  TwoLevels levels = session->levels(made_up_node(), 60);
  for (const auto& [num_users, num_items] : {std::pair{23, 17}, {200, 50}, {2, 1}, {0, 7}}) {
    const RowLayout layout(num_users, num_items, session->rank(), session->world_size());
    RowExchange flat(*world, layout), two(levels, layout);
    at::Tensor table = at::empty({layout.num_local_rows(), 4}, at::kDouble);
    for (int64_t n = 0; n < layout.num_local_rows(); ++n) table[n].copy_(at::arange(4) + 10 * layout.global(n));
    for (int draw = 0; draw < 4; ++draw) {
      const std::vector<int32_t> asked = asked_rows(draw, layout.num_rows());
      const Route a = flat.route(asked), b = two.route(asked);
      const at::Tensor rows_TD = flat.fetch(a, table).index_select(0, a.inverse_T);
      EXPECT_TRUE(at::equal(two.fetch(b, table).index_select(0, b.inverse_T), rows_TD)) << "draw " << draw;
      // Whole numbers: sums are exact in any order.
      const auto gradients = [&](const Route& route) {
        return at::arange(4, at::kDouble)
            .add(route.unique_rows_U.to(at::kDouble).unsqueeze(1))
            .mul(session->rank() + 1);
      };
      EXPECT_TRUE(at::equal(b.touched_local_M, a.touched_local_M));
      EXPECT_TRUE(
          at::equal(testing::returned_sums(two, b, gradients(b)), testing::returned_sums(flat, a, gradients(a))))
          << "draw " << draw;
    }
  }
}

TEST(RowExchangeInTwoLevels, ARowThatAWholeNodeAsksForCrossesTheNetworkOnce) {
  const int L = made_up_node(), rank = session->rank(), first = rank / L * L;
  const auto world = session->world(60);
  TwoLevels levels = session->levels(L, 60);
  const RowLayout layout(0, 40, rank, session->world_size());
  std::vector<int32_t> all(40);
  std::iota(all.begin(), all.end(), 0);
  const Route flat = RowExchange(*world, layout).route(all), two = RowExchange(levels, layout).route(all);
  const int64_t crossing = over_ranks(rows_from_other_nodes(flat.ask, first, first + L));
  const int node = rank / L;
  EXPECT_EQ(over_ranks(rows_from_other_nodes(two.beyond->ask, node, node + 1)), crossing / L);
}

}  // namespace
}  // namespace cllm::testing
