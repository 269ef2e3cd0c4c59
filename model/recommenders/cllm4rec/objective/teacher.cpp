#include "model/recommenders/cllm4rec/objective/teacher.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/zeros.h>
#include <ATen/ops/zeros_like.h>

#include <cmath>
#include <utility>

namespace cllm {
namespace {

at::Tensor log_popularity(const at::Tensor& counts, double power, const at::TensorOptions& options) {
  return ((counts.to(at::kDouble) + 0.5).log() * power).to(options);
}

at::Tensor indices(std::span<const int32_t> items) {
  const std::vector<int64_t> wide(items.begin(), items.end());
  return at::tensor(wide, at::kLong);
}

const int64_t* values(const at::Tensor& tensor) { return tensor.const_data_ptr<int64_t>(); }

}  // namespace

at::Tensor item_counts(const Corpus& corpus) {
  at::Tensor out = at::zeros({corpus.vocabulary().num_items}, at::kDouble);
  auto* const count = out.mutable_data_ptr<double>();
  for (int64_t user = 0; user < corpus.vocabulary().num_users; ++user) {
    for (const int32_t item : corpus.items(user, Part::kTrain)) count[item] += 1;
  }
  return out;
}

PopularityLabels::PopularityLabels(const at::Tensor& counts_v, double power, const at::TensorOptions& options)
    : base_v_(log_popularity(counts_v, power, options)) {}

at::Tensor PopularityLabels::logits(Range positions, Range rows) const {
  return rows.of(base_v_).unsqueeze(0).repeat({positions.count, 1});
}

LinearTeacher::LinearTeacher(const Corpus& corpus, int64_t first_item, const Setup& setup, at::Tensor columns_Jv,
                             const at::Tensor& counts_J)
    : corpus_(corpus), first_item_(first_item), setup_(setup), columns_Jv_(std::move(columns_Jv)),
      item_weights_J_(static_cast<size_t>(counts_J.size(0)), 1.0) {
  diagonal_v_ = columns_Jv_.diagonal(-first_item_).clone();
  popularity_v_ =
      log_popularity(counts_J.narrow(0, first_item, columns_Jv_.size(1)), setup.popularity, columns_Jv_.options());
  if (ease()) return;
  const auto* const count = counts_J.const_data_ptr<double>();
  for (size_t item = 0; item < item_weights_J_.size(); ++item) {
    const double users = count[item] - (setup.leave_one_out ? 1 : 0);
    item_weights_J_[item] = users > 0 ? 1 / std::sqrt(users) : 0;  // nobody else has it: it tells nothing
  }
}

void LinearTeacher::start(Communicator& comm, const HistoryTensors& all) {
  now_ = all;
  const int64_t B = all.users_B.size(0), M = all.items_M.size(0);
  own_M_ = at::zeros({M}, at::kDouble);
  denominator_B_ = at::ones({B}, at::kDouble);
  auto* const own = own_M_.mutable_data_ptr<double>();
  const int64_t* const items = values(all.items_M);
  if (!ease()) {
    for (int64_t m = 0; m < M; ++m) own[m] = item_weights_J_[static_cast<size_t>(items[m])];
  }
  if (!setup_.leave_one_out) return;
  find_user_rows();
  if (!ease()) return;
  // (x P) at a user's items is known to their owners.
  const at::Tensor rows_Bv = user_rows_Bv_.to(at::kCPU, at::kDouble);
  const int64_t* const offsets = values(all.offsets_B1);
  const auto of = [&](int64_t sequence, int64_t item) {
    const int64_t column = item - first_item_;
    return column < 0 || column >= rows_Bv.size(1)
               ? 0.0
               : rows_Bv.const_data_ptr<double>()[sequence * rows_Bv.size(1) + column];
  };
  at::Tensor packed = at::zeros({M + B}, at::kDouble);
  auto* const sums = packed.mutable_data_ptr<double>();
  for (int64_t b = 0; b < B; ++b) {
    for (int64_t m = offsets[b]; m < offsets[b + 1]; ++m) sums[m] = of(b, items[m]);
    for (const int32_t item : corpus_.items(values(all.users_B)[b], Part::kTrain)) sums[M + b] += of(b, item);
  }
  comm.all_reduce(packed, ReduceOp::kSum);
  own_M_.copy_(packed.narrow(0, 0, M));
  denominator_B_.sub_(packed.narrow(0, M, B));
}

void LinearTeacher::find_user_rows() {
  const int64_t B = now_.users_B.size(0), v = columns_Jv_.size(1);
  user_rows_Bv_ = at::zeros({B, v}, columns_Jv_.options());
  for (int64_t b = 0; b < B; ++b) {
    const at::Tensor items = indices(corpus_.items(values(now_.users_B)[b], Part::kTrain));
    at::Tensor row_v = user_rows_Bv_.select(0, b);
    if (ease()) {
      row_v.copy_(columns_Jv_.index_select(0, items.to(columns_Jv_.device())).sum(0));
    } else {
      const at::Tensor mine = items - first_item_;
      row_v.index_fill_(0, mine.masked_select((mine >= 0).logical_and_(mine < v)).to(row_v.device()), 1);
    }
  }
}

/// Each position goes on from the one before it, or from the beginning of its history: the order of the sum is that of
/// the history, wherever a block begins.
at::Tensor LinearTeacher::sums_of_rows(Range positions, Range rows) const {
  at::Tensor out = at::zeros({positions.count, rows.count}, columns_Jv_.options());
  const int64_t *const sequence = values(now_.sequence_A), *const shown = values(now_.shown_A);
  for (int64_t n = 0; n < positions.count; ++n) {
    const int64_t a = positions.first + n;
    const bool goes_on = n > 0 && sequence[a] == sequence[a - 1];
    at::Tensor row_v = out.select(0, n);
    if (goes_on) row_v.copy_(out.select(0, n - 1));
    const int64_t* const history = values(now_.items_M) + values(now_.offsets_B1)[sequence[a]];
    for (int64_t place = goes_on ? shown[a - 1] : 0; place < shown[a]; ++place) {
      const int64_t item = history[place];
      row_v.add_(rows.of(columns_Jv_.select(0, item)), item_weights_J_[static_cast<size_t>(item)]);
    }
  }
  return out;
}

/// [b] of own_M over the shown items.
at::Tensor LinearTeacher::own_sums(Range positions) const {
  at::Tensor out = at::zeros({positions.count}, at::kDouble);
  const auto* const own = own_M_.const_data_ptr<double>();
  for (int64_t n = 0; n < positions.count; ++n) {
    const int64_t a = positions.first + n, first = values(now_.offsets_B1)[values(now_.sequence_A)[a]];
    double sum = 0;
    for (int64_t place = first; place < first + values(now_.shown_A)[a]; ++place) sum += own[place];
    out.mutable_data_ptr<double>()[n] = sum;
  }
  return out;
}

/// The scores of k positions of one sequence.
at::Tensor LinearTeacher::score(const at::Tensor& sums_kv, const at::Tensor& own_k, int64_t sequence,
                                Range rows) const {
  const at::Tensor diagonal_v = rows.of(diagonal_v_);
  if (!setup_.leave_one_out) {
    return ease() ? -(sums_kv / diagonal_v) : sums_kv / diagonal_v.clamp_min(1).sqrt();
  }
  const at::Tensor user_v = rows.of(user_rows_Bv_.select(0, sequence));
  const at::Tensor own_k1 = own_k.to(sums_kv.options()).unsqueeze(1);
  if (!ease()) return (sums_kv - own_k1 * user_v) / (diagonal_v - user_v).clamp_min(1).sqrt();
  const at::Tensor scaled_v = user_v / denominator_B_.const_data_ptr<double>()[sequence];
  return -((sums_kv + own_k1 * scaled_v) / (diagonal_v + user_v * scaled_v));
}

at::Tensor LinearTeacher::scores(Range positions, Range rows) const {
  at::Tensor out = sums_of_rows(positions, rows);
  const at::Tensor own = own_sums(positions);
  const int64_t* const sequence = values(now_.sequence_A) + positions.first;
  for (int64_t n = 0; n < positions.count;) {
    int64_t end = n + 1;
    while (end < positions.count && sequence[end] == sequence[n]) ++end;
    const Range run{n, end - n};
    at::Tensor sums_kv = run.of(out);
    sums_kv.copy_(score(sums_kv, run.of(own), sequence[n], rows));
    n = end;
  }
  return out;
}

at::Tensor LinearTeacher::logits(Range positions, Range rows) const {
  return scores(positions, rows).div_(setup_.beta).add_(rows.of(popularity_v_));
}

}  // namespace cllm
