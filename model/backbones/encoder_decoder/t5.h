#pragma once

// Letters: B sequences, T tokens, D width; e and d tokens of the encoder and of the decoder.

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "model/backbones/backbone.h"
#include "model/backbones/encoder_decoder/t5_config.h"

namespace cllm {

/// T5 1.0, 1.1 and FLAN-T5: an encoder that reads the prompt of a sequence (PackedLayout::prompts), and a decoder that
/// reads its start word and the main text. The state of the last token of the prompt is the decoder's at the start
/// word, that of token k of the main text the decoder's there: so what predicts the next token stands where a causal
/// model has it. Tied heads: states come divided by sqrt(D), so that the product with a row is its logit.
class T5 : public Backbone {
 public:
  using Parameters = std::vector<std::pair<std::string, at::Tensor>>;

  /// `parameters` in the order and shapes of t5_parameter_shapes, dtype options.parameters; copied to options.device.
  T5(T5Config config, Parameters parameters, BackboneOptions options);
  ~T5() override;

  const T5Config& config() const { return config_; }

  int64_t width() const override { return config_.width; }
  /// The encoder's, whose states states_after() gives.
  int64_t num_layers() const override { return config_.encoder_layers; }
  int64_t num_words() const override { return config_.num_words; }
  int64_t max_positions() const override { return config_.max_positions; }

  /// Needs layout.prompts and layout.output_rows_A, none of them before the last token of a prompt.
  at::Tensor forward(const at::Tensor& x_TD, const PackedLayout& layout, const Dropout& dropout) const override;
  /// Of the encoder, which reads all tokens.
  at::Tensor states_after(int64_t layer, const at::Tensor& x_TD, const PackedLayout& layout) const override;
  bool is_causal() const override { return false; }

  /// States of the encoder behind its final norm [e, D], and of a decoder that reads x_dD beside them [d, D], not
  /// scaled; both layouts have the same sequences.
  at::Tensor encode(const at::Tensor& x_eD, const PackedLayout& layout, const Dropout& dropout) const;
  at::Tensor decode(const at::Tensor& x_dD, const PackedLayout& layout, const at::Tensor& memory_eD,
                    const PackedLayout& of_memory, const Dropout& dropout) const;

  const at::Tensor& word_embedding() const override { return parameters_.front().second; }
  const at::Tensor& text_head() const override { return text_head_; }
  const at::Tensor& text_head_parameter() const override {
    return config_.tied ? word_embedding() : parameters_.back().second;
  }
  std::vector<std::pair<std::string, at::Tensor>> parameters() const override { return parameters_; }
  void set_trainable(bool trainable) override;
  const Adapters& adapters() const override { return adapters_; }
  /// As if the encoder read all tokens.
  double flops(double tokens, double pairs) const override;
  double flops_of(const BatchSizes& batch) const override;
  void save(const std::string& dir, const std::vector<at::Tensor>& extra_rows = {}) const override;

 private:
  struct Attention;
  struct Block;
  struct Stack;
  struct Pass;
  void check_length(int64_t longest) const;
  Stack stack(const std::string& name, int64_t layers);
  at::Tensor attend(const Attention& attention, const at::Tensor& n, const at::Tensor& memory, const Pass& pass,
                    const at::Tensor& bias) const;
  at::Tensor run_block(const Stack& stack, int64_t layer, const at::Tensor& x, const at::Tensor& memory,
                       const Pass& pass) const;
  at::Tensor run_stack(const Stack& stack, int64_t layers, const at::Tensor& x, const at::Tensor& memory,
                       Pass pass) const;

  T5Config config_;
  BackboneOptions options_;
  Parameters parameters_;
  Adapters adapters_;
  std::unique_ptr<Stack> encoder_, decoder_;
  at::Tensor text_head_;
};

/// Random weights: N(0, 0.02^2), norms 1; the same for any number of ranks and threads.
std::shared_ptr<T5> make_t5(const T5Config& config, uint64_t seed, BackboneOptions options);

}  // namespace cllm
