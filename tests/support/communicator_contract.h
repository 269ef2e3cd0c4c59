#pragma once

// What every Communicator must do, whatever carries the bytes. A test file of an implementation defines a factory
//   struct Factory { static std::unique_ptr<Communicator> make(); };   // collective: the world of the running ranks
// and instantiates the suite with it. All expected values are closed forms of (rank, element), so no second
// implementation is needed.

#include <gtest/gtest.h>

#include <ATen/ops/arange.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/full.h>
#include <ATen/ops/zeros.h>

#include <chrono>
#include <cmath>
#include <numeric>
#include <thread>

#include "dist/communicator/communicator.h"

namespace cllm::testing {

constexpr int64_t kSizes[] = {0, 1, 10, 1000, 1000000};
constexpr at::ScalarType kTypes[] = {at::kFloat, at::kDouble, at::kBFloat16, at::kInt, at::kLong, at::kByte};

/// Small integers that all dtypes hold exactly: element n of rank r is (7 n + 3 r) mod 11.
inline at::Tensor pattern(int64_t size, int rank, at::ScalarType type, at::Device device) {
  return at::arange(size, at::kLong).mul_(7).add_(3 * rank).remainder_(11).to(type).to(device);
}

/// Rows that rank `from` sends to rank `to`: uneven, some zero, on average `size`.
inline int64_t uneven(int64_t size, int from, int to) { return (from + 2 * to) % 3 * size; }

template <typename Factory>
class CommunicatorContract : public ::testing::Test {
 protected:
  std::unique_ptr<Communicator> comm = Factory::make();
  int rank = comm->rank();
  int world_size = comm->world_size();
  at::Device device = comm->device();

  at::Tensor empty(int64_t rows, at::ScalarType type) {
    return at::empty({rows}, at::TensorOptions().dtype(type).device(device));
  }
};

TYPED_TEST_SUITE_P(CommunicatorContract);

TYPED_TEST_P(CommunicatorContract, AllReduceGivesSumMaxAndMinInEveryTypeAndSize) {
  for (const int64_t size : kSizes) {
    for (const at::ScalarType type : kTypes) {
      at::Tensor sum = at::zeros({size}, at::kLong), max = sum.clone(), min = at::full({size}, 100, at::kLong);
      for (int r = 0; r < this->world_size; ++r) {
        const at::Tensor part = pattern(size, r, at::kLong, at::kCPU);
        sum.add_(part);
        max = max.maximum(part);
        min = min.minimum(part);
      }
      const std::pair<ReduceOp, at::Tensor> cases[] = {
          {ReduceOp::kSum, sum}, {ReduceOp::kMax, max}, {ReduceOp::kMin, min}};
      for (const auto& [op, expected] : cases) {
        at::Tensor tensor = pattern(size, this->rank, type, this->device);
        this->comm->all_reduce(tensor, op);
        EXPECT_TRUE(at::equal(tensor.cpu().to(at::kLong), expected)) << size << " of " << type;
      }
    }
  }
}

TYPED_TEST_P(CommunicatorContract, LogSumExpAddsExponentialsAndLeavesALonePartAsItIs) {
  for (const int64_t size :
       {int64_t{30}, int64_t{100000}}) {  // element n: huge on all ranks, known to one rank, to none
    at::Tensor tensor = at::full({size}, -INFINITY, at::kDouble), expected = tensor.clone();
    for (int64_t n = 0; n < size; ++n) {
      double sum = 0;
      for (int r = 0; r < this->world_size; ++r) sum += 1 + static_cast<double>((n + r) % 7);
      if (n % 3 == 0) expected.mutable_data_ptr<double>()[n] = 5000 + std::log(sum);
      if (n % 3 == 1) expected.mutable_data_ptr<double>()[n] = -0.1 * static_cast<double>(n);
      if (n % 3 == 0)
        tensor.mutable_data_ptr<double>()[n] = 5000 + std::log(1 + static_cast<double>((n + this->rank) % 7));
      if (n % 3 == 1 && n % this->world_size == this->rank)
        tensor.mutable_data_ptr<double>()[n] = -0.1 * static_cast<double>(n);
    }
    tensor = tensor.to(this->device);
    this->comm->all_reduce(tensor, ReduceOp::kLogSumExp);
    const at::Tensor got = tensor.cpu();
    for (int64_t n = 0; n < size; ++n) {
      const double want = expected.const_data_ptr<double>()[n], found = got.const_data_ptr<double>()[n];
      ASSERT_TRUE(found == want || (n % 3 == 0 && std::abs(found - want) < 1e-11))
          << n << ": " << found << ", not " << want;
    }
  }
}

TYPED_TEST_P(CommunicatorContract, SumsAreTakenInRankOrder) {
  // 1e8 absorbs 1 in fp32: ((1e8 + 1) + -1e8) + 1 differs from every other order.
  const float of_rank[] = {1e8F, 1.F, -1e8F, 1.F};
  float expected = 0;
  for (int r = 0; r < this->world_size; ++r) expected += of_rank[r];
  for (const int64_t size : {int64_t{10}, int64_t{1000000}}) {
    at::Tensor tensor =
        at::full({size}, of_rank[this->rank], at::TensorOptions().dtype(at::kFloat).device(this->device));
    this->comm->all_reduce(tensor, ReduceOp::kSum);
    EXPECT_TRUE(tensor.eq(expected).all().template item<bool>()) << size << " elements";
  }
}

TYPED_TEST_P(CommunicatorContract, AllGatherConcatenatesUnequalBlocks) {
  for (const int64_t size : kSizes) {
    for (const at::ScalarType type : kTypes) {
      std::vector<int64_t> rows;
      std::vector<at::Tensor> parts;
      for (int r = 0; r < this->world_size; ++r) {
        rows.push_back(uneven(size, r, 0));
        parts.push_back(pattern(rows[r], r, type, at::kCPU));
      }
      at::Tensor out = this->empty(std::accumulate(rows.begin(), rows.end(), int64_t{0}), type);
      this->comm->all_gather(out, parts[this->rank].to(this->device), rows);
      int64_t begin = 0;
      for (int r = 0; r < this->world_size; begin += rows[r++]) {
        EXPECT_TRUE(at::equal(out.narrow(0, begin, rows[r]).cpu(), parts[r]))
            << "block of rank " << r << ", " << size << " of " << type;
      }
    }
  }
}

TYPED_TEST_P(CommunicatorContract, ReduceScatterSumsTheOwnBlock) {
  for (const int64_t size : kSizes) {
    std::vector<int64_t> rows;
    for (int r = 0; r < this->world_size; ++r) rows.push_back(uneven(size / 4, r, 1));
    const int64_t total = std::accumulate(rows.begin(), rows.end(), int64_t{0});
    const int64_t begin = std::accumulate(rows.begin(), rows.begin() + this->rank, int64_t{0});
    at::Tensor expected = at::zeros({total}, at::kLong);
    for (int r = 0; r < this->world_size; ++r) expected.add_(pattern(total, r, at::kLong, at::kCPU));
    at::Tensor out = this->empty(rows[this->rank], at::kFloat);
    this->comm->reduce_scatter(out, pattern(total, this->rank, at::kFloat, this->device), rows);
    EXPECT_TRUE(at::equal(out.cpu().to(at::kLong), expected.narrow(0, begin, rows[this->rank])))
        << total << " elements";
  }
}

TYPED_TEST_P(CommunicatorContract, AllToAllSendsEveryBlockToItsRank) {
  constexpr int64_t kWidth = 3;
  for (const int64_t size : {int64_t{0}, int64_t{1}, int64_t{10}, int64_t{1000}, int64_t{100000}}) {
    for (const at::ScalarType type : kTypes) {
      std::vector<int64_t> send, receive;
      for (int r = 0; r < this->world_size; ++r) {
        send.push_back(uneven(size, this->rank, r));
        receive.push_back(uneven(size, r, this->rank));
      }
      // Row k that rank a sends to rank b holds pattern(a + 5 b).
      const auto block = [&](int from, int to) {
        return pattern(uneven(size, from, to) * kWidth, from + 5 * to, type, at::kCPU).view({-1, kWidth});
      };
      at::Tensor in = at::empty({std::accumulate(send.begin(), send.end(), int64_t{0}), kWidth}, type);
      for (int64_t r = 0, begin = 0; r < this->world_size; begin += send[r++]) {
        in.narrow(0, begin, send[r]).copy_(block(this->rank, static_cast<int>(r)));
      }
      in = in.to(this->device);
      at::Tensor out = at::empty({std::accumulate(receive.begin(), receive.end(), int64_t{0}), kWidth}, in.options());
      this->comm->all_to_all(out, in, receive, send)->wait();
      for (int64_t r = 0, begin = 0; r < this->world_size; begin += receive[r++]) {
        EXPECT_TRUE(at::equal(out.narrow(0, begin, receive[r]).cpu(), block(static_cast<int>(r), this->rank)))
            << "block from rank " << r << ", " << size << " rows of " << type;
      }
    }
  }
}

TYPED_TEST_P(CommunicatorContract, TwoStartedExchangesKeepApart) {
  const std::vector<int64_t> each(this->world_size, 1000);
  const int64_t total = 1000 * this->world_size;
  const at::Tensor in = at::full({total}, this->rank, at::TensorOptions().dtype(at::kLong).device(this->device));
  const at::Tensor shifted = in.add(100);
  at::Tensor first = this->empty(total, at::kLong), second = this->empty(total, at::kLong);
  std::unique_ptr<Work> one = this->comm->all_to_all(first, in, each, each);
  std::unique_ptr<Work> two = this->comm->all_to_all(second, shifted, each, each);
  two->wait();
  one->wait();
  const at::Tensor expected = at::arange(this->world_size, at::kLong).repeat_interleave(1000);
  EXPECT_TRUE(at::equal(first.cpu(), expected));
  EXPECT_TRUE(at::equal(second.cpu(), expected.add(100)));
}

TYPED_TEST_P(CommunicatorContract, BroadcastCopiesFromAnyRoot) {
  for (const int64_t size : kSizes) {
    for (int root = 0; root < this->world_size; ++root) {
      at::Tensor tensor = pattern(size, this->rank, at::kDouble, this->device);
      this->comm->broadcast(tensor, root);
      EXPECT_TRUE(at::equal(tensor.cpu(), pattern(size, root, at::kDouble, at::kCPU))) << size << " from rank " << root;
    }
  }
}

TYPED_TEST_P(CommunicatorContract, StringsOfAllRanksArriveInRankOrder) {
  const std::string mine(static_cast<size_t>(this->rank) * 3, static_cast<char>('a' + this->rank));  // rank 0: empty
  const std::vector<std::string> all = all_gather_strings(*this->comm, mine);
  ASSERT_EQ(all.size(), static_cast<size_t>(this->world_size));
  for (int r = 0; r < this->world_size; ++r)
    EXPECT_EQ(all[r], std::string(static_cast<size_t>(r) * 3, static_cast<char>('a' + r)));
  EXPECT_EQ(broadcast_string(*this->comm, mine, this->world_size - 1), all.back());
  EXPECT_EQ(broadcast_string(*this->comm, "", 0), "");
}

TYPED_TEST_P(CommunicatorContract, DuplicatesServeTwoThreadsAtOnce) {
  const std::unique_ptr<Communicator> other = this->comm->duplicate("other");
  const auto rounds = [&](Communicator& user, int64_t size, int offset) {
    int wrong = 0;
    for (int round = 0; round < 50; ++round) {
      at::Tensor tensor =
          at::full({size}, this->rank + offset + round, at::TensorOptions().dtype(at::kLong).device(this->device));
      user.all_reduce(tensor, ReduceOp::kMax);
      wrong += !tensor.eq(this->world_size - 1 + offset + round).all().template item<bool>();
    }
    return wrong;
  };
  int wrong_other = -1;
  std::thread thread([&] { wrong_other = rounds(*other, 100000, 1000); });
  EXPECT_EQ(rounds(*this->comm, 10, 0), 0);
  thread.join();
  EXPECT_EQ(wrong_other, 0);
}

TYPED_TEST_P(CommunicatorContract, NobodyLeavesABarrierBeforeTheLastEnters) {
  const auto now = [] { return std::chrono::steady_clock::now().time_since_epoch().count(); };  // one clock per host
  for (int turn = 0; turn < 10; ++turn) {
    const int64_t entered = now();
    this->comm->barrier();
    const int64_t left = now();
    at::Tensor last_entered = at::full({1}, entered, at::TensorOptions().dtype(at::kLong).device(this->device));
    this->comm->all_reduce(last_entered, ReduceOp::kMax);
    EXPECT_GE(left, last_entered.template item<int64_t>());
  }
}

REGISTER_TYPED_TEST_SUITE_P(CommunicatorContract, AllReduceGivesSumMaxAndMinInEveryTypeAndSize,
                            LogSumExpAddsExponentialsAndLeavesALonePartAsItIs, SumsAreTakenInRankOrder,
                            AllGatherConcatenatesUnequalBlocks, ReduceScatterSumsTheOwnBlock,
                            AllToAllSendsEveryBlockToItsRank, TwoStartedExchangesKeepApart, BroadcastCopiesFromAnyRoot,
                            StringsOfAllRanksArriveInRankOrder, DuplicatesServeTwoThreadsAtOnce,
                            NobodyLeavesABarrierBeforeTheLastEnters);

}  // namespace cllm::testing
