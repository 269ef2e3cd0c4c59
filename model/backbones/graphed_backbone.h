#pragma once

#include <map>
#include <memory>

#include "dist/device/graph_recorder.h"
#include "model/backbones/backbone.h"

namespace cllm {

/// A backbone whose training passes over few tokens are recorded once per shape and then played
/// (dist/device/graph_recorder.h). Batches are filled up to one of a few shapes with tokens of sequences of their own,
/// which nothing reads; so sums may be taken in another order than without recording, but in the same one in every run.
/// What cannot be recorded goes to the backbone itself: passes without a gradient or with more tokens, and all for
/// which Backbone::can_be_recorded() is false.
class GraphedBackbone : public Backbone {
 public:
  GraphedBackbone(std::shared_ptr<Backbone> backbone, int64_t most_tokens, at::Device device);
  ~GraphedBackbone() override;

  int64_t width() const override { return backbone_->width(); }
  int64_t num_layers() const override { return backbone_->num_layers(); }
  int64_t num_words() const override { return backbone_->num_words(); }
  int64_t max_positions() const override { return backbone_->max_positions(); }
  at::Tensor forward(const at::Tensor& x_TD, const PackedLayout& layout, const Dropout& dropout) const override;
  at::Tensor states_after(int64_t layer, const at::Tensor& x_TD, const PackedLayout& layout) const override {
    return backbone_->states_after(layer, x_TD, layout);
  }
  const at::Tensor& word_embedding() const override { return backbone_->word_embedding(); }
  const at::Tensor& text_head() const override { return backbone_->text_head(); }
  std::vector<std::pair<std::string, at::Tensor>> parameters() const override { return backbone_->parameters(); }
  void set_trainable(bool trainable) override { backbone_->set_trainable(trainable); }
  const Adapters& adapters() const override { return backbone_->adapters(); }
  double flops(double tokens, double pairs) const override { return backbone_->flops(tokens, pairs); }
  double flops_of(const BatchSizes& batch) const override { return backbone_->flops_of(batch); }
  void save(const std::string& dir, const std::vector<at::Tensor>& extra_rows = {}) const override {
    backbone_->save(dir, extra_rows);
  }

  /// How many shapes have been recorded.
  int64_t num_shapes() const { return static_cast<int64_t>(passes_.size()); }

 private:
  struct Shape;
  struct Passes;
  struct Play;
  bool can_record(const at::Tensor& x_TD, const PackedLayout& layout, const Dropout& dropout) const;

  std::shared_ptr<Backbone> backbone_;
  int64_t most_tokens_;
  mutable GraphRecorder recorder_;
  mutable std::map<Shape, std::shared_ptr<Passes>> passes_;
};

}  // namespace cllm
