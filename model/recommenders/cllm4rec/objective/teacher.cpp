#include "model/recommenders/cllm4rec/objective/teacher.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/zeros.h>
#include <ATen/ops/zeros_like.h>

#include <cmath>
#include <iomanip>
#include <numeric>
#include <sstream>
#include <utility>

namespace cllm {
namespace {

at::Tensor indices(std::span<const int32_t> items) {
  const std::vector<int64_t> wide(items.begin(), items.end());
  return at::tensor(wide, at::kLong);
}

const int64_t* values(const at::Tensor& tensor) { return tensor.const_data_ptr<int64_t>(); }

}  // namespace

at::Tensor log_popularity(const at::Tensor& counts, double power, const at::TensorOptions& options) {
  return ((counts.to(at::kDouble) + 0.5).log() * power).to(options);
}

at::Tensor item_counts(const Corpus& corpus, UserFold without) {
  at::Tensor out = at::zeros({corpus.vocabulary().num_items}, at::kDouble);
  auto* const count = out.mutable_data_ptr<double>();
  for (int64_t user = 0; user < corpus.vocabulary().num_users; ++user) {
    if (without.has(user)) continue;
    for (const int32_t item : corpus.items(user, Part::kTrain)) count[item] += 1;
  }
  return out;
}

PopularityLabels::PopularityLabels(const at::Tensor& counts_v, double power, const at::TensorOptions& options)
    : base_v_(log_popularity(counts_v, power, options)) {}

at::Tensor PopularityLabels::logits(Range positions, Range rows) const {
  return rows.of(base_v_).unsqueeze(0).repeat({positions.count, 1});
}

LinearTeacher::LinearTeacher(const Corpus& corpus, Communicator& comm, int64_t first_item, const Setup& setup,
                             Columns columns, const at::Tensor& counts_J)
    : corpus_(corpus), first_item_(first_item), setup_(setup), columns_(std::move(columns)),
      item_weights_J_(static_cast<size_t>(counts_J.size(0)), 1.0) {
  const int64_t v = columns_.model_Jv.size(1);
  diagonal_v_ = columns_.model_Jv.diagonal(-first_item_).clone();
  if (has_texts()) text_diagonal_v_ = columns_.texts_Jv.diagonal(-first_item_).clone();
  popularity_v_ = log_popularity(counts_J.narrow(0, first_item, v), setup.popularity, columns_.model_Jv.options());
  if (is_inverse()) {
    if (setup.leave_one_out) learn_own_parts(comm);
    return;
  }
  const auto* const count = counts_J.const_data_ptr<double>();
  for (size_t item = 0; item < item_weights_J_.size(); ++item) {
    const double users = count[item] - (setup.leave_one_out ? 1 : 0);
    item_weights_J_[item] = users > 0 ? 1 / std::sqrt(users) : 0;  // nobody else has it: it tells nothing
  }
}

/// (x P) at a user's items is known to their owners, and the same in every step.
void LinearTeacher::learn_own_parts(Communicator& comm) {
  const int64_t num_users = corpus_.vocabulary().num_users, v = columns_.model_Jv.size(1);
  own_offsets_ = {0};
  for (int64_t user = 0; user < num_users; ++user)
    own_offsets_.push_back(own_offsets_.back() + corpus_.num_items(user, Part::kTrain));
  at::Tensor own = at::zeros({own_offsets_.back()}, at::kDouble);
  auto* const sums = own.mutable_data_ptr<double>();
  for (int64_t user = 0; user < num_users; ++user) {
    const at::Tensor row_v = row_of_user(columns_.model_Jv, user).to(at::kCPU, at::kDouble);
    const auto items = corpus_.items(user, Part::kTrain);
    for (size_t n = 0; n < items.size(); ++n) {
      const int64_t column = items[n] - first_item_;
      if (column >= 0 && column < v)
        sums[own_offsets_[static_cast<size_t>(user)] + static_cast<int64_t>(n)] =
            row_v.const_data_ptr<double>()[column];
    }
  }
  comm.all_reduce(own, ReduceOp::kSum);
  own_of_user_.assign(sums, sums + own.size(0));
  for (size_t user = 0; user + 1 < own_offsets_.size(); ++user) {
    denominator_of_user_.push_back(1 - std::accumulate(sums + own_offsets_[user], sums + own_offsets_[user + 1], 0.0));
  }
}

/// The sum of the rows of a user's items.
at::Tensor LinearTeacher::row_of_user(const at::Tensor& columns_Jv, int64_t user) const {
  return columns_Jv.index_select(0, indices(corpus_.items(user, Part::kTrain)).to(columns_Jv.device())).sum(0);
}

void LinearTeacher::start(Communicator&, const HistoryTensors& all) {
  now_ = all;
  const int64_t B = all.users_B.size(0), M = all.items_M.size(0), v = columns_.model_Jv.size(1);
  own_M_ = at::zeros({M}, at::kDouble);
  denominator_B_ = at::ones({B}, at::kDouble);
  if (!setup_.leave_one_out) return;
  user_rows_Bv_.of_model = at::zeros({B, v}, columns_.model_Jv.options());
  if (has_texts()) user_rows_Bv_.of_texts = at::zeros({B, v}, columns_.texts_Jv.options());
  for (int64_t b = 0; b < B; ++b) {
    const int64_t user = values(all.users_B)[b];
    at::Tensor row_v = user_rows_Bv_.of_model.select(0, b);
    if (is_inverse()) {
      row_v.copy_(row_of_user(columns_.model_Jv, user));
      if (has_texts()) user_rows_Bv_.of_texts.select(0, b).copy_(row_of_user(columns_.texts_Jv, user));
    } else {
      const at::Tensor mine = indices(corpus_.items(user, Part::kTrain)) - first_item_;
      row_v.index_fill_(0, mine.masked_select((mine >= 0).logical_and_(mine < v)).to(row_v.device()), 1);
    }
  }
  find_own_parts();
}

void LinearTeacher::find_own_parts() {
  auto* const own = own_M_.mutable_data_ptr<double>();
  auto* const denominator = denominator_B_.mutable_data_ptr<double>();
  const int64_t *const items = values(now_.items_M), *const offsets = values(now_.offsets_B1);
  std::vector<double> of_item = item_weights_J_;
  for (int64_t b = 0; b < now_.users_B.size(0); ++b) {
    if (is_inverse()) {
      const auto user = static_cast<size_t>(values(now_.users_B)[b]);
      const auto training = corpus_.items(values(now_.users_B)[b], Part::kTrain);
      for (size_t n = 0; n < training.size(); ++n)
        of_item[static_cast<size_t>(training[n])] = own_of_user_[static_cast<size_t>(own_offsets_[user]) + n];
      denominator[b] = denominator_of_user_[user];
    }
    for (int64_t m = offsets[b]; m < offsets[b + 1]; ++m) own[m] = of_item[static_cast<size_t>(items[m])];
  }
}

/// Each position goes on from the one before it, or from the beginning of its history: the order of the sum is that of
/// the history, wherever a block begins.
at::Tensor LinearTeacher::sums_of_rows(const at::Tensor& columns_Jv, Range positions, Range rows) const {
  at::Tensor out = at::zeros({positions.count, rows.count}, columns_Jv.options());
  const int64_t *const sequence = values(now_.sequence_A), *const shown = values(now_.shown_A);
  for (int64_t n = 0; n < positions.count; ++n) {
    const int64_t a = positions.first + n;
    const bool goes_on = n > 0 && sequence[a] == sequence[a - 1];
    at::Tensor row_v = out.select(0, n);
    if (goes_on) row_v.copy_(out.select(0, n - 1));
    const int64_t* const history = values(now_.items_M) + values(now_.offsets_B1)[sequence[a]];
    for (int64_t place = goes_on ? shown[a - 1] : 0; place < shown[a]; ++place) {
      const int64_t item = history[place];
      row_v.add_(rows.of(columns_Jv.select(0, item)), item_weights_J_[static_cast<size_t>(item)]);
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
at::Tensor LinearTeacher::score(const Sums& sums_kv, const at::Tensor& own_k, int64_t sequence, Range rows) const {
  at::Tensor model_kv = sums_kv.of_model, diagonal_v = rows.of(diagonal_v_);
  if (!setup_.leave_one_out && !is_inverse()) return model_kv / diagonal_v.clamp_min(1).sqrt();
  at::Tensor texts_kv = sums_kv.of_texts, text_diagonal_v = has_texts() ? rows.of(text_diagonal_v_) : at::Tensor();
  if (setup_.leave_one_out) {
    const at::Tensor user_v = rows.of(user_rows_Bv_.of_model.select(0, sequence));
    const at::Tensor own_k1 = own_k.to(model_kv.options()).unsqueeze(1);
    if (!is_inverse()) return (model_kv - own_k1 * user_v) / (diagonal_v - user_v).clamp_min(1).sqrt();
    const double denominator = denominator_B_.const_data_ptr<double>()[sequence];
    const at::Tensor scaled_v = user_v / denominator;
    model_kv = model_kv + own_k1 * scaled_v;
    diagonal_v = diagonal_v + user_v * scaled_v;
    if (has_texts()) {
      const at::Tensor text_v = rows.of(user_rows_Bv_.of_texts.select(0, sequence)) / denominator;
      texts_kv = texts_kv + own_k1 * text_v;
      text_diagonal_v = text_diagonal_v + user_v * text_v;
    }
  }
  if (!has_texts()) return -(model_kv / diagonal_v);
  return texts_kv * setup_.text_pull - model_kv * ((text_diagonal_v * setup_.text_pull + 1) / diagonal_v);
}

at::Tensor LinearTeacher::scores(Range positions, Range rows) const {
  at::Tensor out = sums_of_rows(columns_.model_Jv, positions, rows);
  const at::Tensor texts = has_texts() ? sums_of_rows(columns_.texts_Jv, positions, rows) : at::Tensor();
  const at::Tensor own = own_sums(positions);
  const int64_t* const sequence = values(now_.sequence_A) + positions.first;
  for (int64_t n = 0; n < positions.count;) {
    int64_t end = n + 1;
    while (end < positions.count && sequence[end] == sequence[n]) ++end;
    const Range run{n, end - n};
    at::Tensor sums_kv = run.of(out);
    sums_kv.copy_(score({sums_kv, has_texts() ? run.of(texts) : texts}, run.of(own), sequence[n], rows));
    n = end;
  }
  return out;
}

at::Tensor LinearTeacher::logits(Range positions, Range rows) const {
  return scores(positions, rows).div_(setup_.beta).add_(rows.of(popularity_v_));
}

std::string LinearTeacher::describe() const {
  std::ostringstream out;
  out << "teacher    its scores / " << std::setprecision(3) << setup_.beta << " (teacher.beta"
      << (chosen_ ? ", where it predicts validation items best)" : ")") << "\n";
  return out.str();
}

}  // namespace cllm
