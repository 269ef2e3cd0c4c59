#include "model/recommenders/cllm4rec/text/tf_idf.h"

#include <ATen/ops/linalg_qr.h>
#include <ATen/ops/zeros.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <tuple>
#include <vector>

#include "model/tables/start_values.h"

namespace cllm {
namespace {

struct Entry {
  int32_t word;
  double value;
};

/// A sparse matrix [V, N].
using Rows = std::vector<std::vector<Entry>>;

/// How often every row has each word, words ascending.
Rows count_words(const Corpus& corpus) {
  const Vocabulary& vocabulary = corpus.vocabulary();
  std::vector<std::vector<int32_t>> words(static_cast<size_t>(vocabulary.num_users + vocabulary.num_items));
  for (int64_t n = 0; n < corpus.num_texts(); ++n) {
    const TextSample text = corpus.text(n);
    if (text.user >= 0 && text.item >= 0) continue;
    const int64_t row = text.user >= 0 ? text.user : vocabulary.num_users + text.item;
    auto& of_row = words[static_cast<size_t>(row)];
    of_row.insert(of_row.end(), text.tokens.begin(), text.tokens.end());
  }
  Rows out(words.size());
  for (size_t row = 0; row < words.size(); ++row) {
    std::ranges::sort(words[row]);
    for (const int32_t word : words[row]) {
      if (out[row].empty() || out[row].back().word != word) out[row].push_back({word, 0});
      ++out[row].back().value;
    }
  }
  return out;
}

std::vector<double> weights_of(const Rows& rows, int64_t num_words) {
  std::vector<double> df(static_cast<size_t>(num_words), 0);
  double V = 0;
  for (const auto& row : rows) {
    V += row.empty() ? 0 : 1;
    for (const Entry& entry : row) ++df[static_cast<size_t>(entry.word)];
  }
  for (double& weight : df) weight = weight == 0 ? 0 : 1 + std::log((1 + V) / (1 + weight));
  return df;
}

/// Counts become TF-IDF, of length 1.
void weigh(Rows& rows, const std::vector<double>& weight_N) {
  for (auto& row : rows) {
    double squares = 0;
    for (Entry& entry : row) {
      entry.value = (1 + std::log(entry.value)) * weight_N[static_cast<size_t>(entry.word)];
      squares += entry.value * entry.value;
    }
    for (Entry& entry : row) entry.value /= std::sqrt(std::max(squares, 1e-300));
  }
}

/// X times [N, k].
at::Tensor times(const Rows& rows, const at::Tensor& right_Nk) {
  const int64_t k = right_Nk.size(1);
  at::Tensor out_Vk = at::zeros({static_cast<int64_t>(rows.size()), k}, at::kDouble);
  const at::Tensor right = right_Nk.contiguous();
  const double* const from = right.const_data_ptr<double>();
  double* to = out_Vk.mutable_data_ptr<double>();
  for (const auto& row : rows) {
    for (const Entry& entry : row)
      for (int64_t n = 0; n < k; ++n) to[n] += entry.value * from[entry.word * k + n];
    to += k;
  }
  return out_Vk;
}

/// X transposed times [V, k].
at::Tensor transposed_times(const Rows& rows, const at::Tensor& right_Vk, int64_t num_words) {
  const int64_t k = right_Vk.size(1);
  at::Tensor out_Nk = at::zeros({num_words, k}, at::kDouble);
  const at::Tensor right = right_Vk.contiguous();
  const double* from = right.const_data_ptr<double>();
  double* const to = out_Nk.mutable_data_ptr<double>();
  for (const auto& row : rows) {
    for (const Entry& entry : row)
      for (int64_t n = 0; n < k; ++n) to[entry.word * k + n] += entry.value * from[n];
    from += k;
  }
  return out_Nk;
}

at::Tensor orthonormal(const at::Tensor& columns) { return std::get<0>(at::linalg_qr(columns)); }

}  // namespace

TfIdf TfIdf::of(const Corpus& corpus, int64_t dims) {
  constexpr int64_t kSpare = 16;
  constexpr uint64_t kKey = 0x7F1DF;
  const int64_t N = corpus.vocabulary().num_words;
  Rows rows = count_words(corpus);
  TfIdf out{weights_of(rows, N), {}};
  weigh(rows, out.weight_N);
  const int64_t k = std::min({dims + kSpare, N, static_cast<int64_t>(rows.size())});
  const Draw normal = [](CounterRng& random, int64_t) { return random.normal(); };
  out.basis_Nk = drawn_rows(N, k, at::kDouble, kKey, normal);
  for (int iteration = 0; iteration < 3; ++iteration)
    out.basis_Nk = orthonormal(transposed_times(rows, orthonormal(times(rows, out.basis_Nk)), N));
  return out;
}

at::Tensor TfIdf::vectors(const Corpus& corpus) const {
  Rows rows = count_words(corpus);
  weigh(rows, weight_N);
  return times(rows, basis_Nk);
}

}  // namespace cllm
