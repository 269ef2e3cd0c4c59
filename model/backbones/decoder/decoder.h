#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "model/backbones/backbone.h"
#include "model/backbones/decoder/decoder_config.h"
#include "model/nn/fused/rms_norm.h"

namespace cllm {

/// Names and shapes [out, in] of a decoder's parameters in Hugging Face layout, without the `model.` prefix. The word
/// embedding is the first; an untied head, lm_head.weight, the last.
std::vector<std::pair<std::string, std::vector<int64_t>>> decoder_parameter_shapes(const DecoderConfig& config);

/// Of the tensors' names in files, but for an untied head.
inline constexpr const char* kDecoderPrefix = "model.";

/// Llama, Mistral, Qwen 2 and 3, Gemma 3: pre-norm blocks with RMS norms, rotated queries and keys, grouped heads, a
/// window in some layers, and a gated MLP. A user's or item's row enters as a word's does (Gemma: times sqrt(D)).
class Decoder : public Backbone {
 public:
  using Parameters = std::vector<std::pair<std::string, at::Tensor>>;

  /// `parameters` in the order and shapes of decoder_parameter_shapes, dtype options.parameters; copied to
  /// options.device.
  Decoder(DecoderConfig config, Parameters parameters, BackboneOptions options);
  ~Decoder() override;

  const DecoderConfig& config() const { return config_; }

  int64_t width() const override { return config_.width; }
  int64_t num_layers() const override { return config_.num_layers; }
  int64_t num_words() const override { return config_.num_words; }
  int64_t max_positions() const override { return config_.max_positions; }
  at::Tensor forward(const at::Tensor& x_TD, const PackedLayout& layout, const Dropout& dropout) const override;
  at::Tensor states_after(int64_t layer, const at::Tensor& x_TD, const PackedLayout& layout) const override;
  const at::Tensor& word_embedding() const override { return parameters_.front().second; }
  const at::Tensor& text_head() const override { return text_head_; }
  const at::Tensor& text_head_parameter() const override {
    return config_.tied ? parameters_.front().second : parameters_.back().second;
  }
  Parameters parameters() const override { return parameters_; }
  void set_trainable(bool trainable) override;
  const Adapters& adapters() const override { return adapters_; }
  double flops(double tokens, double pairs) const override;
  void save(const std::string& dir, const std::vector<at::Tensor>& extra_rows = {}) const override;

 private:
  struct Block;
  struct Pass;
  at::Tensor through(int64_t layers, const at::Tensor& x_TD, const PackedLayout& layout, const Dropout& dropout) const;
  at::Tensor run_blocks(int64_t layers, const at::Tensor& x_TD, const PackedLayout& layout,
                        const Dropout& dropout) const;
  std::pair<at::Tensor, at::Tensor> run_block(int64_t layer, const at::Tensor& x, const at::Tensor& n,
                                              const Pass& pass) const;
  at::Tensor attention(int64_t layer, const at::Tensor& n, const Pass& pass) const;

  DecoderConfig config_;
  BackboneOptions options_;
  Parameters parameters_;
  Adapters adapters_;
  std::vector<Block> blocks_;
  at::Tensor text_head_;
  RmsNorm final_norm_;
};

/// A model with random weights: matrices N(0, 0.02^2), norms as if they were not there. The same for any number of
/// ranks and threads.
std::shared_ptr<Decoder> make_decoder(const DecoderConfig& config, uint64_t seed, BackboneOptions options = {});

}  // namespace cllm
