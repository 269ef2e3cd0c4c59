#include "model/losses/contrast.h"

#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/mm.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/stack.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/where.h>
#include <ATen/ops/zeros_like.h>

#include <cmath>

#include "dist/device/device.h"

namespace cllm {
namespace {

constexpr double kSharpness = 2;  // of e^(-2 d^2), as published

at::Tensor lengths(const at::Tensor& x_AD) { return x_AD.norm(2, 1, /*keepdim=*/true); }

/// At length 1; a vector of 0 stays one.
at::Tensor unit(const at::Tensor& x_AD) { return x_AD / lengths(x_AD).clamp_min(1e-12); }

/// The gradient of x from that of unit(x).
at::Tensor through_unit(const at::Tensor& x_AD, const at::Tensor& gradient_AD) {
  const at::Tensor u_AD = unit(x_AD), length_A1 = lengths(x_AD);
  const at::Tensor tangent_AD = gradient_AD - u_AD * (u_AD * gradient_AD).sum(1, /*keepdim=*/true);
  return at::where(length_A1 > 0, tangent_AD / length_A1.clamp_min(1e-12), at::zeros_like(tangent_AD));
}

/// The positions of all ranks, and which of them are this rank's.
struct All {
  at::Tensor owners_A, items_A;    // int64, on the device
  at::Tensor hidden_AD, rows_AD;   // at length 1
  std::vector<int64_t> positions;  // [R]
  int64_t first = 0, count = 0;    // of this rank

  at::Tensor mine(const at::Tensor& of_all) const { return of_all.narrow(0, first, count); }
};

All gather(Communicator& comm, const ContrastPositions& positions, const at::Tensor& hidden_AD,
           const at::Tensor& rows_AD) {
  const int R = comm.world_size();
  All out;
  out.count = std::ssize(positions.items_A);
  at::Tensor counts_R1 = at::empty({R, 1}, at::kLong);
  comm.all_gather(counts_R1, at::tensor({out.count}, at::kLong).view({1, 1}),
                  std::vector<int64_t>(static_cast<size_t>(R), 1));
  int64_t total = 0;
  for (int rank = 0; rank < R; ++rank) {
    if (rank == comm.rank()) out.first = total;
    out.positions.push_back(counts_R1[rank][0].item<int64_t>());
    total += out.positions.back();
  }
  const auto of_all = [&](const at::Tensor& mine) {
    at::Tensor all = at::empty({total, mine.size(1)}, mine.options());
    comm.all_gather(all, mine.contiguous(), out.positions);
    return all;
  };
  const std::vector<int64_t> items(positions.items_A.begin(), positions.items_A.end());
  const at::Tensor ids_A2 =
      of_all(at::stack({at::tensor(positions.owners_A, at::kLong), at::tensor(items, at::kLong)}, 1));
  const at::Device device = rows_AD.device();
  out.owners_A = upload(ids_A2.select(1, 0).contiguous(), device);
  out.items_A = upload(ids_A2.select(1, 1).contiguous(), device);
  out.hidden_AD = of_all(hidden_AD);
  out.rows_AD = of_all(rows_AD);
  return out;
}

at::Tensor differ(const at::Tensor& mine_a, const at::Tensor& all_A) { return mine_a.unsqueeze(1).ne(all_A); }

at::Tensor sum_of(Communicator& comm, const at::Tensor& value) {
  at::Tensor sum = value.to(at::kDouble).clone();
  comm.all_reduce(sum, ReduceOp::kSum);
  return sum;
}

/// 1/2 ln mean e^(-2 |x_a - x_b|^2) over the pairs, of all ranks, and its gradient of this rank's x (length 1).
std::pair<double, at::Tensor> spread(Communicator& comm, const at::Tensor& x_aD, const at::Tensor& all_AD,
                                     const at::Tensor& pairs_aA) {
  const at::Tensor gap_aA = (2 - 2 * at::mm(x_aD, all_AD.t())).clamp_min(0);
  const at::Tensor near_aA = (gap_aA * -kSharpness).exp() * pairs_aA.to(x_aD.scalar_type());
  const at::Tensor sums = sum_of(comm, at::stack({near_aA.sum(at::kDouble), pairs_aA.sum(at::kDouble)}));
  const double sum = sums[0].item<double>(), pairs = sums[1].item<double>();
  if (pairs == 0) return {0, at::zeros_like(x_aD)};
  // Each pair counts from both ends.
  const at::Tensor pull_aD = x_aD * near_aA.sum(1, /*keepdim=*/true) - at::mm(near_aA, all_AD);
  return {0.5 * std::log(sum / pairs), pull_aD * (-2 * kSharpness / sum)};
}

struct Parts {
  double loss = 0;
  at::Tensor hidden_aD, rows_aD;  // gradients at length 1
};

Parts uniformity(Communicator& comm, const All& all) {
  const auto [of_hidden, hidden_aD] =
      spread(comm, all.mine(all.hidden_AD), all.hidden_AD, differ(all.mine(all.owners_A), all.owners_A));
  const auto [of_rows, rows_aD] =
      spread(comm, all.mine(all.rows_AD), all.rows_AD, differ(all.mine(all.items_A), all.items_A));
  return {comm.rank() == 0 ? of_hidden + of_rows : 0.0, hidden_aD, rows_aD};
}

/// A rank has the rows of its positions, then the columns of its items, for which it needs all normalisers.
Parts contrastive(Communicator& comm, const All& all, double temperature) {
  const at::Tensor hidden_aD = all.mine(all.hidden_AD), rows_aD = all.mine(all.rows_AD);
  const int64_t A = all.hidden_AD.size(0), a = all.count;
  at::Tensor seen_aA =
      differ(all.mine(all.owners_A), all.owners_A).logical_and(differ(all.mine(all.items_A), all.items_A));
  const at::Tensor own_aA =
      at::arange(A, seen_aA.options().dtype(at::kLong))
          .unsqueeze(0)
          .eq(at::arange(all.first, all.first + a, seen_aA.options().dtype(at::kLong)).unsqueeze(1));
  seen_aA = seen_aA.logical_or(own_aA);
  const double scale = 1 / temperature, each = 1 / static_cast<double>(std::max<int64_t>(A, 1));
  const auto masked = [](const at::Tensor& logits, const at::Tensor& seen) {
    return logits.masked_fill(seen.logical_not(), -INFINITY);
  };
  const at::Tensor logits_aA = masked(at::mm(hidden_aD, all.rows_AD.t()) * scale, seen_aA);
  const at::Tensor normaliser_a1 = logits_aA.logsumexp(1, /*keepdim=*/true);
  at::Tensor normaliser_A1 = at::empty({A, 1}, normaliser_a1.options());
  comm.all_gather(normaliser_A1, normaliser_a1.contiguous(), all.positions);

  Parts out;
  out.loss = each * (normaliser_a1.sum(at::kDouble) - (hidden_aD * rows_aD).sum(at::kDouble) * scale).item<double>();
  out.hidden_aD = (at::mm((logits_aA - normaliser_a1).exp(), all.rows_AD) - rows_aD) * (scale * each);
  const at::Tensor columns_Aa = masked(at::mm(all.hidden_AD, rows_aD.t()) * scale, seen_aA.t());
  out.rows_aD = (at::mm((columns_Aa - normaliser_A1).exp().t(), all.hidden_AD) - hidden_aD) * (scale * each);
  return out;
}

}  // namespace

std::vector<int32_t> ContrastTerm::rows() const {
  std::vector<int32_t> out;
  for (const int32_t item : positions_.items_A) out.push_back(static_cast<int32_t>(first_row_) + item);
  return out;
}

HiddenResult ContrastTerm::value_and_gradients(const HiddenInput& input) {
  const at::NoGradGuard no_grad;
  const at::Tensor hidden_AD = input.hidden_AD.to(input.asked_KD.scalar_type());
  const All all = gather(comm_, positions_, unit(hidden_AD), unit(input.asked_KD));
  const Parts parts = kind_ == Kind::kUniformity ? uniformity(comm_, all) : contrastive(comm_, all, temperature_);
  return {.loss = parts.loss,
          .hidden_gradient_AD = through_unit(hidden_AD, parts.hidden_aD).to(input.hidden_AD.scalar_type()),
          .asked_gradient_KD = through_unit(input.asked_KD, parts.rows_aD)};
}

}  // namespace cllm
