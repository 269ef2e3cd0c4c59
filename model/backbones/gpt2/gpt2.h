#pragma once

#include <memory>

#include "model/backbones/backbone.h"
#include "model/backbones/gpt2/gpt2_config.h"

namespace cllm {

/// Names and shapes of a GPT-2 model's parameters in Hugging Face layout, without the `transformer.` prefix.
std::vector<std::pair<std::string, std::vector<int64_t>>> gpt2_parameter_shapes(const Gpt2Config& config);

/// Of the tensors' names in files.
inline constexpr const char* kGpt2Prefix = "transformer.";

/// GPT-2 (Radford et al. 2019): pre-norm blocks, learned positions, tied word embedding. Linear weights are [in, out].
class Gpt2 : public Backbone {
 public:
  using Parameters = std::vector<std::pair<std::string, at::Tensor>>;

  /// `parameters` in the order and shapes of gpt2_parameter_shapes, dtype options.parameters; copied to options.device.
  Gpt2(const Gpt2Config& config, Parameters parameters, BackboneOptions options);
  ~Gpt2() override;

  const Gpt2Config& config() const { return config_; }

  int64_t width() const override { return config_.width; }
  int64_t num_layers() const override { return config_.num_layers; }
  int64_t num_words() const override { return config_.num_words; }
  int64_t max_positions() const override { return config_.max_positions; }
  at::Tensor forward(const at::Tensor& x_TD, const PackedLayout& layout, const Dropout& dropout) const override;
  at::Tensor states_after(int64_t layer, const at::Tensor& x_TD, const PackedLayout& layout) const override;
  bool can_be_recorded(const Dropout& dropout) const override;
  const at::Tensor& word_embedding() const override { return parameters_.front().second; }
  const at::Tensor& text_head() const override { return text_head_; }
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
  std::pair<at::Tensor, at::Tensor> run_block(int64_t layer, at::Tensor x, const at::Tensor& n, const Pass& pass) const;

  Gpt2Config config_;
  BackboneOptions options_;
  Parameters parameters_;
  Adapters adapters_;
  std::vector<Block> blocks_;
  at::Tensor positions_, text_head_, final_gamma_, final_beta_;
};

/// A model with random weights, as GPT-2 was initialised: N(0, 0.02^2), projections into the residual stream N(0,
/// 0.02^2 / 2L), norms 1, biases 0. The same for any number of ranks and threads.
std::shared_ptr<Gpt2> make_gpt2(const Gpt2Config& config, uint64_t seed, BackboneOptions options = {});

}  // namespace cllm
