#pragma once

#include <string>
#include <utility>
#include <vector>

#include "model/backbones/backbone.h"

namespace cllm {

/// No language model: the hidden state of a token is the mean of the rows of users and items up to it in its sequence,
/// 0 before the first. A word embeds to 0, and what is 0 does not count. The control for what a backbone adds.
class BagBackbone : public Backbone {
 public:
  static constexpr int64_t kMaxPositions = 1 << 20;

  /// Of the options the dtypes, the device and num_words count.
  BagBackbone(int64_t width, const BackboneOptions& options);

  int64_t width() const override { return words_ND_.size(1); }
  int64_t num_layers() const override { return 0; }
  int64_t num_words() const override { return words_ND_.size(0); }
  int64_t max_positions() const override { return kMaxPositions; }
  at::Tensor forward(const at::Tensor& x_TD, const PackedLayout& layout, const Dropout& dropout) const override;
  const at::Tensor& word_embedding() const override { return words_ND_; }
  const at::Tensor& text_head() const override { return words_ND_; }
  std::vector<std::pair<std::string, at::Tensor>> parameters() const override { return {}; }
  void set_trainable(bool) override {}
  double flops(double tokens, double) const override { return tokens * static_cast<double>(width()); }
  /// ModelError.
  void save(const std::string& dir, const std::vector<at::Tensor>& extra_rows) const override;

 private:
  at::ScalarType compute_;
  at::Tensor words_ND_;  // 0
};

}  // namespace cllm
