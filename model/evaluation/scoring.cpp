#include "model/evaluation/scoring.h"

#include <ATen/Parallel.h>
#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/full.h>
#include <ATen/ops/mm.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/zeros.h>

#include <algorithm>
#include <numeric>

#include "model/evaluation/device_scores.h"
#include "model/kernels/cpu/vector_clones.h"

namespace cllm {
namespace {

/// A block of scores stays in the cache: up to kBlockItems items, and as many users as kBlockScores allows, at least
/// kLeastUsers.
constexpr int64_t kBlockScores = 1 << 21, kBlockItems = 1 << 15, kLeastUsers = 64;

/// The users of all ranks, one rank after the other, with their masked items as CSR.
struct AllUsers {
  std::vector<int64_t> users;    // [R]
  at::Tensor hidden_UD;          // in the table's dtype
  std::vector<int64_t> offsets;  // [U+1] into masked
  at::Tensor masked;             // int32

  int64_t size() const { return hidden_UD.size(0); }
  std::span<const int32_t> masked_of(int64_t user) const {
    return {masked.const_data_ptr<int32_t>() + offsets[user], static_cast<size_t>(offsets[user + 1] - offsets[user])};
  }
};

at::Tensor gather(Communicator& comm, const at::Tensor& mine, const std::vector<int64_t>& rows) {
  std::vector<int64_t> shape = mine.sizes().vec();
  shape[0] = std::accumulate(rows.begin(), rows.end(), int64_t{0});
  at::Tensor out = at::empty(shape, mine.options());
  comm.all_gather(out, mine.contiguous(), rows);
  return out;
}

AllUsers gather_users(Communicator& comm, const at::Tensor& hidden_bD,
                      const std::vector<std::vector<int32_t>>& masked) {
  std::vector<int32_t> flat;
  std::vector<int64_t> counts;
  for (const auto& list : masked) {
    counts.push_back(static_cast<int64_t>(list.size()));
    flat.insert(flat.end(), list.begin(), list.end());
  }
  const auto num_users = static_cast<int64_t>(masked.size()), num_masked = static_cast<int64_t>(flat.size());
  const std::vector<int64_t> ones(static_cast<size_t>(comm.world_size()), 1);
  const at::Tensor sizes_R2 = gather(comm, at::tensor({num_users, num_masked}, at::kLong).view({1, 2}), ones);
  AllUsers all;
  std::vector<int64_t> masked_rows;
  for (int rank = 0; rank < comm.world_size(); ++rank) {
    all.users.push_back(sizes_R2[rank][0].item<int64_t>());
    masked_rows.push_back(sizes_R2[rank][1].item<int64_t>());
  }
  all.hidden_UD = gather(comm, hidden_bD, all.users);
  all.masked = gather(comm, at::tensor(flat, at::kInt), masked_rows);
  const at::Tensor counts_U = gather(comm, at::tensor(counts, at::kLong), all.users);
  all.offsets.assign(static_cast<size_t>(all.size()) + 1, 0);
  const int64_t* const count = counts_U.const_data_ptr<int64_t>();
  std::partial_sum(count, count + all.size(), all.offsets.begin() + 1);
  return all;
}

/// Fixed order: eight partial sums, then these in order.
template <typename T>
CLLM_INLINE double dot_fixed(const T* a, const T* b, int64_t D) {
  double lanes[8] = {};
  int64_t d = 0;
  for (; d + 8 <= D; d += 8) {
    for (int64_t n = 0; n < 8; ++n) lanes[n] += static_cast<double>(a[d + n]) * static_cast<double>(b[d + n]);
  }
  for (; d < D; ++d) lanes[0] += static_cast<double>(a[d]) * static_cast<double>(b[d]);
  double sum = 0;
  for (const double lane : lanes) sum += lane;
  return sum;
}
CLLM_VECTOR_CLONES double dot(const float* a, const float* b, int64_t D) { return dot_fixed(a, b, D); }
CLLM_VECTOR_CLONES double dot(const double* a, const double* b, int64_t D) { return dot_fixed(a, b, D); }

/// Candidates of every user among this rank's items: items [U, C] and scores [U, C], best first; item -1 where there
/// are no more.
struct Candidates {
  at::Tensor items_UC, scores_UC;
};

/// The best of `list` become the candidates of a user.
void write(const Candidates& to, int64_t user, std::vector<ScoredItem>& list) {
  const int64_t C = to.items_UC.size(1);
  int32_t* const items = to.items_UC.mutable_data_ptr<int32_t>() + user * C;
  double* const scores = to.scores_UC.mutable_data_ptr<double>() + user * C;
  std::sort(list.begin(), list.end());
  for (int64_t c = 0; c < std::min<int64_t>(C, static_cast<int64_t>(list.size())); ++c) {
    items[c] = list[static_cast<size_t>(c)].item;
    scores[c] = list[static_cast<size_t>(c)].score;
  }
}

template <typename T>
Candidates local_candidates(const AllUsers& all, const at::Tensor& local_items, int64_t first_item, int64_t k) {
  const int64_t U = all.size(), J = local_items.size(0), D = local_items.size(1), C = std::min(k, J);
  Candidates out{at::full({U, C}, -1, at::kInt), at::zeros({U, C}, at::kDouble)};
  if (C == 0) return out;
  const T* const hidden = all.hidden_UD.const_data_ptr<T>();
  const T* const table = local_items.const_data_ptr<T>();
  const int64_t users_per_block = std::max(kLeastUsers, kBlockScores / std::min(J, kBlockItems));
  for (int64_t first = 0; first < U; first += users_per_block) {
    const int64_t count = std::min(users_per_block, U - first);
    std::vector<TopK> best(static_cast<size_t>(count), TopK(k + ItemScorer::kSpareCandidates));
    for (int64_t j = 0; j < J; j += kBlockItems) {
      const int64_t width = std::min(kBlockItems, J - j);
      const at::Tensor block = at::mm(all.hidden_UD.narrow(0, first, count), local_items.narrow(0, j, width).t());
      const T* const logits = block.const_data_ptr<T>();
      at::parallel_for(0, count, 1, [&](int64_t begin, int64_t end) {
        for (int64_t n = begin; n < end; ++n) {
          best[static_cast<size_t>(n)].add<T>({logits + n * width, static_cast<size_t>(width)},
                                              all.masked_of(first + n), first_item + j);
        }
      });
    }
    at::parallel_for(0, count, 1, [&](int64_t begin, int64_t end) {
      for (int64_t user = first + begin; user < first + end; ++user) {
        std::vector<ScoredItem> list = best[static_cast<size_t>(user - first)].take();
        for (ScoredItem& candidate : list)
          candidate.score = dot(hidden + user * D, table + (candidate.item - first_item) * D, D);
        write(out, user, list);
      }
    });
  }
  return out;
}

/// The same on a GPU.
Candidates device_candidates(const AllUsers& all, const at::Tensor& local_items, int64_t first_item, int64_t k) {
  constexpr int64_t kUsersPerBlock = 256;  // with 116 candidates of width 768 each: 180 MB in fp64
  const int64_t U = all.size(), J = local_items.size(0), C = std::min(k, J);
  Candidates out{at::full({U, C}, -1, at::kInt), at::zeros({U, C}, at::kDouble)};
  for (int64_t first = 0; first < U; first += kUsersPerBlock) {
    const int64_t count = std::min(kUsersPerBlock, U - first);
    const auto found = device::best_items(
        all.hidden_UD.narrow(0, first, count), local_items, first_item,
        [&](int64_t user) { return all.masked_of(first + user); }, k + ItemScorer::kSpareCandidates);
    const auto items = found.items_bC.accessor<int64_t, 2>();
    const auto scores = found.scores_bC.accessor<double, 2>();
    for (int64_t n = 0; n < count; ++n) {
      std::vector<ScoredItem> list;
      for (int64_t c = 0; c < found.items_bC.size(1); ++c) {
        if (items[n][c] >= 0) list.push_back({static_cast<int32_t>(items[n][c]), scores[n][c]});
      }
      write(out, first + n, list);
    }
  }
  return out;
}

}  // namespace

std::vector<std::vector<ScoredItem>> ItemScorer::top_items(const at::Tensor& hidden_bD,
                                                           const std::vector<std::vector<int32_t>>& masked,
                                                           int64_t k) const {
  TORCH_CHECK(hidden_bD.size(0) == static_cast<int64_t>(masked.size()), hidden_bD.size(0), " users, ", masked.size(),
              " lists of masked items");
  const at::NoGradGuard no_grad;
  const AllUsers all = gather_users(comm_, hidden_bD.to(local_items_.scalar_type()), masked);
  const at::Tensor table = local_items_.contiguous();
  const int64_t first_item = items_.begin(comm_.rank());
  const Candidates mine = !table.is_cpu()                     ? device_candidates(all, table, first_item, k)
                          : table.scalar_type() == at::kFloat ? local_candidates<float>(all, table, first_item, k)
                                                              : local_candidates<double>(all, table, first_item, k);

  // Every rank's candidates for my users come back flat: rank r sends min(k, its items) per user.
  const int64_t b = hidden_bD.size(0);
  const std::vector<int64_t> shard_sizes = items_.sizes();
  std::vector<int64_t> widths, receive, send;
  for (size_t rank = 0; rank < all.users.size(); ++rank) {
    widths.push_back(std::min(k, shard_sizes[rank]));
    receive.push_back(b * widths.back());
    send.push_back(all.users[rank] * mine.items_UC.size(1));
  }
  const int64_t total = std::accumulate(receive.begin(), receive.end(), int64_t{0});
  at::Tensor items = at::empty({total}, at::kInt), scores = at::empty({total}, at::kDouble);
  comm_.all_to_all(items, mine.items_UC.reshape({-1}), receive, send)->wait();
  comm_.all_to_all(scores, mine.scores_UC.reshape({-1}), receive, send)->wait();

  std::vector<std::vector<ScoredItem>> lists(static_cast<size_t>(b));
  const int32_t* item = items.const_data_ptr<int32_t>();
  const double* score = scores.const_data_ptr<double>();
  for (const int64_t width : widths) {
    for (auto& list : lists) {
      for (int64_t c = 0; c < width; ++c, ++item, ++score) {
        if (*item >= 0) list.push_back({*item, *score});
      }
    }
  }
  for (auto& list : lists) {
    std::sort(list.begin(), list.end());
    list.resize(std::min(list.size(), static_cast<size_t>(k)));
  }
  return lists;
}

}  // namespace cllm
