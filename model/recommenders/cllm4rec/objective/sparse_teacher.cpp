#include "model/recommenders/cllm4rec/objective/sparse_teacher.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/zeros.h>
#include <ATen/ops/zeros_like.h>

#include <algorithm>
#include <iomanip>
#include <sstream>
#include <utility>

namespace cllm {

at::Tensor keep_largest(at::Tensor B, int64_t top) {
  B.diagonal().zero_();
  constexpr int64_t kAtATime = 256;
  for_each_range(B.size(0), kAtATime, [&](Range rows) {
    at::Tensor some = rows.of(B);
    const at::Tensor places = std::get<1>(some.abs().topk(std::min(top, B.size(1)), 1));
    some.copy_(at::zeros_like(some).scatter_(1, places, some.gather(1, places)));
  });
  return B;
}

SparseTeacher::SparseTeacher(const at::Tensor& weights_Jv, const Setup& setup, const at::Tensor& counts_v,
                             const at::TensorOptions& options)
    : setup_(setup), offsets_J1_{0}, popularity_v_(log_popularity(counts_v, setup.popularity, options)) {
  std::vector<at::Tensor> values;
  for (int64_t item = 0; item < weights_Jv.size(0); ++item) {
    const at::Tensor row_v = weights_Jv.select(0, item), places = row_v.nonzero().squeeze(1);
    const auto* const first = places.const_data_ptr<int64_t>();
    column_of_.insert(column_of_.end(), first, first + places.numel());
    offsets_J1_.push_back(std::ssize(column_of_));
    values.push_back(row_v.index_select(0, places));
  }
  columns_ = at::tensor(column_of_, at::kLong).to(options.device());
  values_ = at::cat(values).to(options);
}

void SparseTeacher::add_row(at::Tensor& sum_v, int64_t item, Range rows) const {
  const auto of_item = column_of_.begin() + offsets_J1_[static_cast<size_t>(item)];
  const auto end = column_of_.begin() + offsets_J1_[static_cast<size_t>(item) + 1];
  const auto from = std::lower_bound(of_item, end, rows.first),
             to = std::lower_bound(from, end, rows.first + rows.count);
  const Range entries{from - column_of_.begin(), to - from};
  if (entries.count > 0) sum_v.index_add_(0, entries.of(columns_) - rows.first, entries.of(values_));
}

/// Each position goes on from the one before it, as in LinearTeacher.
at::Tensor SparseTeacher::scores(Range positions, Range rows) const {
  at::Tensor out = at::zeros({positions.count, rows.count}, values_.options());
  const auto* const sequence = now_.sequence_A.const_data_ptr<int64_t>();
  const auto* const shown = now_.shown_A.const_data_ptr<int64_t>();
  const auto* const offsets = now_.offsets_B1.const_data_ptr<int64_t>();
  const auto* const items = now_.items_M.const_data_ptr<int64_t>();
  for (int64_t n = 0; n < positions.count; ++n) {
    const int64_t a = positions.first + n;
    const bool goes_on = n > 0 && sequence[a] == sequence[a - 1];
    at::Tensor sum_v = out.select(0, n);
    if (goes_on) sum_v.copy_(out.select(0, n - 1));
    for (int64_t place = goes_on ? shown[a - 1] : 0; place < shown[a]; ++place)
      add_row(sum_v, items[offsets[sequence[a]] + place], rows);
  }
  return out;
}

at::Tensor SparseTeacher::logits(Range positions, Range rows) const {
  return scores(positions, rows).div_(setup_.beta).add_(rows.of(popularity_v_));
}

std::string SparseTeacher::describe() const {
  std::ostringstream out;
  out << "teacher    the " << setup_.top << " largest weights of an item (teacher.top), " << std::setprecision(3)
      << static_cast<double>(values_.numel() * (values_.element_size() + 16)) / (1 << 20)
      << " MiB on rank 0; its scores / " << setup_.beta << " (teacher.beta"
      << (chosen_ ? ", where it predicts validation items best)" : ")") << "\n";
  return out.str();
}

}  // namespace cllm
