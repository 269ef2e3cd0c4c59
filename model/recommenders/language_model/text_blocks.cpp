#include "model/recommenders/language_model/text_blocks.h"

#include <algorithm>
#include <string>

#include "data/errors.h"
#include "data/random.h"

namespace cllm {
namespace {

Batch empty_batch(const Vocabulary& vocabulary) {
  Batch batch;
  batch.vocabulary = vocabulary;
  batch.sequence_offsets = {0};
  batch.target_offsets = {0};
  return batch;
}

/// Ends the sequence that was appended last: every token but the first is predicted from the one before it.
void close_sequence(Batch& batch, double weight, uint64_t key) {
  const int32_t begin = batch.sequence_offsets.back(), end = static_cast<int32_t>(batch.token_ids.size());
  for (int32_t t = begin; t + 1 < end; ++t) {
    batch.active_rows.push_back(t);
    batch.targets.push_back(batch.token_ids[static_cast<size_t>(t) + 1]);
    batch.target_weights.push_back(weight);
    batch.target_offsets.push_back(static_cast<int32_t>(batch.targets.size()));
  }
  batch.sequence_offsets.push_back(end);
  batch.sequence_keys.push_back(key);
}

}  // namespace

TextBlocks::TextBlocks(const Corpus& corpus, const Options& options) : corpus_(corpus), options_(options) {
  int64_t tokens = 0;
  for (int64_t n = 0; n < corpus.num_texts(); ++n) {
    CounterRng rng(stream_key(options.seed, Purpose::kSplit, static_cast<uint64_t>(n)));
    if (rng.uniform() < options.held_out) {
      held_out_texts_.push_back(n);
    } else {
      train_texts_.push_back(n);
      tokens += corpus.text_length(n) + 1;
    }
  }
  num_blocks_ = tokens / options.context;
  if (steps_per_epoch() == 0) {
    throw DataError("the corpus has " + std::to_string(tokens) + " text tokens, less than one step of " +
                    std::to_string(options.blocks_per_step) + " x " + std::to_string(options.context) +
                    ": use a smaller context or batch, or more texts");
  }
}

void TextBlocks::start_epoch(int64_t epoch) {
  if (epoch == epoch_) return;
  epoch_ = epoch;
  order_ = train_texts_;
  CounterRng rng(stream_key(options_.seed, Purpose::kEpochOrder, static_cast<uint64_t>(epoch)));
  rng.shuffle(std::span(order_));
  offsets_.assign(1, 0);
  for (const int64_t text : order_) offsets_.push_back(offsets_.back() + corpus_.text_length(text) + 1);
}

void TextBlocks::append_block(int64_t block, Batch& batch) const {
  int64_t at = block * options_.context;
  const int64_t end = at + options_.context;
  auto text = static_cast<size_t>(std::upper_bound(offsets_.begin(), offsets_.end(), at) - offsets_.begin() - 1);
  for (; at < end; ++text) {
    const auto tokens = corpus_.text(order_[text]).tokens;
    const auto from = static_cast<size_t>(at - offsets_[text]);
    const size_t take = std::min(tokens.size() - from, static_cast<size_t>(end - at));
    batch.token_ids.insert(batch.token_ids.end(), tokens.begin() + static_cast<std::ptrdiff_t>(from),
                           tokens.begin() + static_cast<std::ptrdiff_t>(from + take));
    at += static_cast<int64_t>(take);
    if (at < end) {
      batch.token_ids.push_back(options_.separator);
      ++at;
    }
  }
}

Batch TextBlocks::batch(int64_t epoch, int64_t step, int rank, int world_size) {
  start_epoch(epoch);
  Batch batch = empty_batch(corpus_.vocabulary());
  const double weight = 1.0 / static_cast<double>(options_.blocks_per_step * (options_.context - 1));
  for (int64_t n = rank; n < options_.blocks_per_step; n += world_size) {
    const int64_t block = step * options_.blocks_per_step + n;
    append_block(block, batch);
    close_sequence(
        batch, weight,
        stream_key(options_.seed, Purpose::kDropout, static_cast<uint64_t>(epoch), static_cast<uint64_t>(block)));
  }
  return batch;
}

Batch TextBlocks::held_out(int rank, int world_size) const {
  const auto length = [&](int64_t text) { return std::min(corpus_.text_length(text), options_.context); };
  int64_t predictions = 0;
  for (const int64_t text : held_out_texts_) predictions += length(text) - 1;
  Batch batch = empty_batch(corpus_.vocabulary());
  for (size_t n = static_cast<size_t>(rank); n < held_out_texts_.size(); n += static_cast<size_t>(world_size)) {
    const auto tokens = corpus_.text(held_out_texts_[n]).tokens.first(static_cast<size_t>(length(held_out_texts_[n])));
    batch.token_ids.insert(batch.token_ids.end(), tokens.begin(), tokens.end());
    close_sequence(batch, 1.0 / static_cast<double>(std::max<int64_t>(predictions, 1)), 0);
  }
  return batch;
}

}  // namespace cllm
