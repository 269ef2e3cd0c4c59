#include "model/recommenders/closed_form/gram.h"

#include <ATen/Parallel.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/zeros.h>

#include <algorithm>

#include "data/random.h"

namespace cllm {
namespace {

/// The rows of every rank that travel at a time.
struct Round {
  std::vector<int64_t> first, rows;  // [R], global
  int64_t total = 0;
};

std::vector<Round> rounds_of(const RowPartition& items) {
  const int64_t each = std::max<int64_t>(1, kRowsInFlight / items.world_size());
  std::vector<Round> out;
  for (int64_t done = 0;; done += each) {
    Round round;
    for (int rank = 0; rank < items.world_size(); ++rank) {
      const int64_t first = std::min(items.begin(rank) + done, items.end(rank));
      round.first.push_back(first);
      round.rows.push_back(std::min(each, items.end(rank) - first));
      round.total += round.rows.back();
    }
    if (round.total == 0) return out;
    out.push_back(std::move(round));
  }
}

/// What a rank sends or gets where all rows are those of rank 0's peers.
std::vector<int64_t> only_first(int64_t rows, int world_size) {
  std::vector<int64_t> out(static_cast<size_t>(world_size), 0);
  out[0] = rows;
  return out;
}

}  // namespace

int64_t UserFold::of(int64_t user, int64_t folds) {
  return static_cast<int64_t>(mix64(static_cast<uint64_t>(user)) % static_cast<uint64_t>(folds));
}

ItemUsers::ItemUsers(const Corpus& corpus, int64_t first, int64_t last, UserFold without)
    : first_(first), offsets_(static_cast<size_t>(last - first + 1), 0) {
  const int64_t num_users = corpus.vocabulary().num_users;
  const auto for_each = [&](auto visit) {
    for (int64_t user = 0; user < num_users; ++user) {
      if (without.has(user)) continue;
      const auto row = corpus.items(user, Part::kTrain);
      for (auto item = std::ranges::lower_bound(row, first); item != row.end() && *item < last; ++item)
        visit(static_cast<size_t>(*item - first), static_cast<int32_t>(user));
    }
  };
  for_each([&](size_t item, int32_t) { ++offsets_[item + 1]; });
  for (size_t n = 1; n < offsets_.size(); ++n) offsets_[n] += offsets_[n - 1];
  users_.resize(static_cast<size_t>(offsets_.back()));
  std::vector<int64_t> next(offsets_.begin(), offsets_.end() - 1);
  for_each([&](size_t item, int32_t user) { users_[static_cast<size_t>(next[item]++)] = user; });
}

void add_gram_row(const Corpus& corpus, const ItemUsers& users, int64_t item, std::span<double> row_J) {
  for (const int32_t user : users.of(item)) {
    for (const int32_t other : corpus.items(user, Part::kTrain)) row_J[static_cast<size_t>(other)] += 1;
  }
}

at::Tensor gather_on_first_rank(Communicator& comm, const RowPartition& items, const FillRow& fill) {
  const int64_t J = items.num_rows();
  const int rank = comm.rank(), R = comm.world_size();
  const auto me = static_cast<size_t>(rank);
  at::Tensor matrix = at::empty({rank == 0 ? J : 0, J}, at::kDouble);
  for (const Round& round : rounds_of(items)) {
    at::Tensor mine = at::zeros({round.rows[me], J}, at::kDouble);
    auto* const values = mine.mutable_data_ptr<double>();
    at::parallel_for(0, round.rows[me], 8, [&](int64_t begin, int64_t end) {
      for (int64_t n = begin; n < end; ++n) fill(round.first[me] + n, {values + n * J, static_cast<size_t>(J)});
    });
    at::Tensor arrived = at::empty({rank == 0 ? round.total : 0, J}, at::kDouble);
    const std::vector<int64_t> nothing(static_cast<size_t>(R), 0);
    comm.all_to_all(arrived, mine, rank == 0 ? round.rows : nothing, only_first(round.rows[me], R))->wait();
    for (int64_t peer = 0, from = 0; rank == 0 && peer < R; from += round.rows[static_cast<size_t>(peer++)]) {
      const auto p = static_cast<size_t>(peer);
      matrix.narrow(0, round.first[p], round.rows[p]).copy_(arrived.narrow(0, from, round.rows[p]));
    }
  }
  return matrix;
}

void hand_out_rows(Communicator& comm, const RowPartition& items, const MakeRows& make, const at::Tensor& local_rows) {
  const int rank = comm.rank(), R = comm.world_size();
  const auto me = static_cast<size_t>(rank);
  for (const Round& round : rounds_of(items)) {
    at::Tensor out = at::empty({0, items.num_rows()}, local_rows.options());
    if (rank == 0) {
      std::vector<at::Tensor> parts;
      for (size_t peer = 0; peer < round.rows.size(); ++peer) {
        if (round.rows[peer] > 0) parts.push_back(make(round.first[peer], round.rows[peer]));
      }
      out = at::cat(parts);
    }
    at::Tensor mine = local_rows.narrow(0, round.first[me] - items.begin(rank), round.rows[me]);
    const std::vector<int64_t> nothing(static_cast<size_t>(R), 0);
    comm.all_to_all(mine, out, only_first(round.rows[me], R), rank == 0 ? round.rows : nothing)->wait();
  }
}

}  // namespace cllm
