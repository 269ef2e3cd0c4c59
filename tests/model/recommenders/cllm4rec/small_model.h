#pragma once

// The smallest model and batches that a training step works on, for one or more ranks.

#include <ATen/TensorOperators.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/mm.h>
#include <ATen/ops/tanh.h>
#include <ATen/ops/zeros.h>

#include <algorithm>

#include "data/random.h"
#include "model/errors.h"
#include "model/recommenders/cllm4rec/train_step.h"

namespace cllm::testing {

inline constexpr int64_t kWords = 7, kUsers = 5, kItems = 6, kWidth = 4;
inline constexpr Vocabulary kVocabulary{kWords, kUsers, kItems};

/// The smallest thing with a gradient: tanh(x W), token by token. The real backbone is proved by the golden files.
class TokenwiseBackbone : public Backbone {
 public:
  TokenwiseBackbone() {
    CounterRng random(1);
    for (at::Tensor* tensor : {&words_, &mix_}) {
      for (int64_t n = 0; n < tensor->numel(); ++n) tensor->mutable_data_ptr<double>()[n] = random.normal();
    }
  }
  int64_t width() const override { return kWidth; }
  int64_t num_layers() const override { return 1; }
  int64_t num_words() const override { return kWords; }
  int64_t max_positions() const override { return 64; }
  at::Tensor forward(const at::Tensor& x_TD, const PackedLayout& layout, const Dropout&) const override {
    const at::Tensor out = at::tanh(at::mm(x_TD, mix_));
    return layout.output_rows_A.defined() ? out.index_select(0, layout.output_rows_A) : out;
  }
  const at::Tensor& word_embedding() const override { return words_; }
  const at::Tensor& text_head() const override { return words_; }
  std::vector<std::pair<std::string, at::Tensor>> parameters() const override {
    return {{"words", words_}, {"mix", mix_}};
  }
  double flops(double tokens, double) const override { return 2 * tokens * static_cast<double>(mix_.numel()); }
  void save(const std::string&, const std::vector<at::Tensor>&) const override { throw ModelError("has no files"); }
  void set_trainable(bool trainable) override {
    words_.set_requires_grad(trainable);
    mix_.set_requires_grad(trainable);
  }

 private:
  at::Tensor words_ = at::empty({kWords, kWidth}, at::kDouble), mix_ = at::empty({kWidth, kWidth}, at::kDouble);
};

/// Sequences of "user, items..." (collaborative) or "user, word, words..." (content), dealt to the ranks.
inline RecBatch batch_of(StepKind kind, int rank, int world_size) {
  RecBatch batch;
  batch.kind = kind;
  batch.vocabulary = kVocabulary;
  batch.num_groups = 2;
  batch.sequence_offsets = {0};
  batch.target_offsets = {0};
  const bool items = kind == StepKind::kCollaborative;
  CounterRng random(9);
  for (int32_t s = 0; s < 7; ++s) {
    const int32_t user = s % 4;
    std::vector<int32_t> ids;
    for (int n = 0; n < 2 + s % 3; ++n) ids.push_back(static_cast<int32_t>(random.below(items ? kItems : kWords)));
    if (s % world_size != rank) continue;
    batch.token_ids.push_back(kVocabulary.user_token(user));
    batch.mr.covered.push_back({kVocabulary.row_of(kVocabulary.user_token(user)), s % 2, 1});
    for (const int32_t id : ids) {
      batch.active_rows.push_back(static_cast<int32_t>(batch.num_tokens()) - 1);
      batch.token_ids.push_back(items ? kVocabulary.item_token(id) : id);
      if (items) batch.mr.covered.push_back({kVocabulary.row_of(kVocabulary.item_token(id)), s % 2, 1});
      batch.targets.push_back(id);
      batch.target_offsets.push_back(static_cast<int32_t>(batch.targets.size()));
      batch.target_weights.push_back(0.1 * (1 + s));
    }
    batch.sequence_offsets.push_back(static_cast<int32_t>(batch.num_tokens()));
    batch.sequence_keys.push_back(static_cast<uint64_t>(s));
  }
  return batch;
}

/// Both sides at random, with fresh state of the optimiser.
inline RecModel small_model(const Communicator& comm, const RowOptimizer& optimizer) {
  const RowLayout layout(kUsers, kItems, comm.rank(), comm.world_size());
  RecModel model{std::make_shared<TokenwiseBackbone>(),
                 make_random_table(layout, kWidth, at::kDouble, 1, Side::kCollaborative),
                 make_random_table(layout, kWidth, at::kDouble, 1, Side::kContent)};
  optimizer.reset(model.collaborative);
  optimizer.reset(model.content);
  return model;
}

/// What training leaves: both sides' rows of all ranks, and the losses.
struct Tables {
  at::Tensor collaborative = at::zeros({kUsers + kItems, kWidth}, at::kDouble), content = collaborative.clone();
  std::vector<double> losses;

  friend bool operator==(const Tables& a, const Tables& b) {
    return at::equal(a.collaborative, b.collaborative) && at::equal(a.content, b.content) && a.losses == b.losses;
  }
};

/// Steps of these kinds on a small model; this rank's part goes to `out`. `ahead`: every step but the last announces
/// the next.
inline void train_small(const Channels& channels, const std::string& optimizer_name, const std::vector<StepKind>& kinds,
                        const StepConfig& config, bool ahead, Tables& out) {
  Communicator& comm = channels.world;
  const auto optimizer = make_row_optimizer({.name = optimizer_name});
  RecModel model = small_model(comm, *optimizer);
  TrainStep step(channels, model, *optimizer);
  std::vector<RecBatch> batches;
  for (const StepKind kind : kinds) batches.push_back(batch_of(kind, comm.rank(), comm.world_size()));
  for (size_t n = 0; n < batches.size(); ++n) {
    const bool announce = ahead && n + 1 < batches.size();
    const NextBatch next{batches[std::min(n + 1, batches.size() - 1)], config};
    const StepLosses losses = step.run(batches[n], config, announce ? &next : nullptr);
    if (comm.rank() == 0) out.losses.push_back(losses.loss);
  }
  const RowLayout& layout = model.content.layout;
  for (int64_t local = 0; local < layout.num_local_rows(); ++local) {
    out.collaborative[layout.global(local)] = model.collaborative.weight[local];
    out.content[layout.global(local)] = model.content.weight[local];
  }
}

}  // namespace cllm::testing
