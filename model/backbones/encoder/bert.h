#pragma once

// Letters: B sequences, T tokens, D width.

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "model/backbones/backbone.h"
#include "model/backbones/encoder/bert_config.h"

namespace cllm {

/// BERT: reads whole texts and predicts nothing (BackboneShape::predicts is false), frozen. For vectors of texts.
class Bert : public Backbone {
 public:
  using Parameters = std::vector<std::pair<std::string, at::Tensor>>;

  /// `parameters` in the order and shapes of bert_parameter_shapes, with or without the pooler, dtype
  /// options.parameters; copied to options.device.
  Bert(BertConfig config, Parameters parameters, BackboneOptions options);
  ~Bert() override;

  int64_t width() const override { return config_.width; }
  int64_t num_layers() const override { return config_.num_layers; }
  int64_t num_words() const override { return config_.num_words; }
  int64_t max_positions() const override { return config_.max_positions; }
  bool is_causal() const override { return false; }
  bool can_predict() const override { return false; }

  /// States of the last layer, of all tokens or of layout.output_rows_A; all of a text are of its first type.
  at::Tensor forward(const at::Tensor& x_TD, const PackedLayout& layout, const Dropout& dropout) const override;
  at::Tensor states_after(int64_t layer, const at::Tensor& x_TD, const PackedLayout& layout) const override;
  /// With types int64 [T] of the tokens.
  at::Tensor states(int64_t layers, const at::Tensor& x_TD, const PackedLayout& layout,
                    const at::Tensor& types_T) const;
  /// tanh of a linear map of the states of the first tokens, [B, D]; undefined for a model without a pooler.
  at::Tensor pooled(const at::Tensor& states_TD, const PackedLayout& layout) const;

  const at::Tensor& word_embedding() const override { return parameters_.front().second; }
  const at::Tensor& text_head() const override { return word_embedding(); }  // is none: nothing is predicted
  std::vector<std::pair<std::string, at::Tensor>> parameters() const override { return parameters_; }
  void set_trainable(bool trainable) override;
  double flops(double tokens, double pairs) const override;
  void save(const std::string& dir, const std::vector<at::Tensor>& extra_rows = {}) const override;

 private:
  struct Block;
  at::Tensor find(const std::string& name) const;
  at::Tensor normed(const at::Tensor& x, const std::pair<at::Tensor, at::Tensor>& norm) const;
  at::Tensor run_block(const Block& block, const at::Tensor& x, const PackedLayout& layout) const;

  BertConfig config_;
  BackboneOptions options_;
  Parameters parameters_;
  std::vector<Block> blocks_;
};

}  // namespace cllm
