#include "model/recommenders/closed_form/text_vectors.h"

#include <algorithm>
#include <cmath>
#include <numeric>

namespace cllm {
namespace {

/// The words of every item, sorted; repeated words are repeated.
std::vector<std::vector<int32_t>> words_of_items(const Corpus& corpus) {
  std::vector<std::vector<int32_t>> out(static_cast<size_t>(corpus.vocabulary().num_items));
  for (int64_t n = 0; n < corpus.num_texts(); ++n) {
    const TextSample text = corpus.text(n);
    if (text.user >= 0 || text.item < 0) continue;
    auto& words = out[static_cast<size_t>(text.item)];
    words.insert(words.end(), text.tokens.begin(), text.tokens.end());
  }
  for (auto& words : out) std::ranges::sort(words);
  return out;
}

template <typename Visit>
void for_each_word(const std::vector<int32_t>& sorted, Visit visit) {
  for (size_t begin = 0, end = 0; begin < sorted.size(); begin = end) {
    while (end < sorted.size() && sorted[end] == sorted[begin]) ++end;
    visit(sorted[begin], static_cast<double>(end - begin));
  }
}

/// Inverse document frequencies; 0 for words that are left out.
std::vector<double> word_weights(const std::vector<int64_t>& df, int64_t num_items, const TextVectorOptions& options) {
  std::vector<size_t> order(df.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::ranges::stable_sort(order, [&](size_t a, size_t b) { return df[a] > df[b]; });
  std::vector<double> out(df.size(), 0.0);
  int64_t kept = 0;
  const auto J = static_cast<double>(num_items);
  for (const size_t word : order) {
    const auto frequency = static_cast<double>(df[word]);
    if (df[word] == 0 || (options.words > 0 && kept == options.words)) break;
    if (frequency > options.largest_share * J) continue;
    out[word] = 1 + std::log((1 + J) / (1 + frequency));
    ++kept;
  }
  return out;
}

}  // namespace

TextVectors::TextVectors(const Corpus& corpus, const TextVectorOptions& options)
    : item_start_{0}, word_start_(static_cast<size_t>(corpus.vocabulary().num_words) + 1, 0) {
  const auto words = words_of_items(corpus);
  std::vector<int64_t> df(word_start_.size() - 1, 0);
  for (const auto& of_item : words) for_each_word(of_item, [&](int32_t word, double) { ++df[word]; });
  const std::vector<double> weight = word_weights(df, corpus.vocabulary().num_items, options);
  for (const auto& of_item : words) {
    double squares = 0;
    for_each_word(of_item, [&](int32_t word, double times) {
      const double value = (1 + std::log(times)) * weight[word];
      if (value == 0) return;
      entries_.push_back({word, value});
      squares += value * value;
    });
    for (auto n = static_cast<size_t>(item_start_.back()); n < entries_.size(); ++n) {
      entries_[n].value /= std::sqrt(squares);
      ++word_start_[entries_[n].word + 1];
    }
    item_start_.push_back(static_cast<int64_t>(entries_.size()));
  }
  for (size_t n = 1; n < word_start_.size(); ++n) word_start_[n] += word_start_[n - 1];
  postings_.resize(entries_.size());
  std::vector<int64_t> next(word_start_.begin(), word_start_.end() - 1);
  for (size_t item = 0; item + 1 < item_start_.size(); ++item) {
    for (int64_t n = item_start_[item]; n < item_start_[item + 1]; ++n)
      postings_[next[entries_[n].word]++] = {static_cast<int32_t>(item), entries_[n].value};
  }
}

void TextVectors::add_gram_row(int64_t item, std::span<double> row_J) const {
  for (int64_t n = item_start_[item]; n < item_start_[item + 1]; ++n) {
    const Entry& entry = entries_[n];
    for (int64_t p = word_start_[entry.word]; p < word_start_[entry.word + 1]; ++p)
      row_J[postings_[p].item] += entry.value * postings_[p].value;
  }
}

}  // namespace cllm
