#pragma once

// Letters: B sequences, T tokens (packed: sequence after sequence, no padding), D width, N words.

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "model/backbones/adapters.h"
#include "model/errors.h"
#include "model/nn/packed_layout.h"

namespace cllm {

/// How a backbone is held: `parameters` fp32 or fp64; `compute` the same, or bf16 (matrix products; the residual
/// stream, norms and softmax stay fp32).
struct BackboneOptions {
  at::ScalarType parameters = at::kFloat;
  at::ScalarType compute = at::kFloat;
  at::Device device = at::kCPU;
  bool recompute = false;  // backward computes each block's activations again instead of keeping them; the same bits
  int64_t num_words = 0;   // of the word tables only so many rows are kept, those of the tokenizer: tables are padded
                           // and resized; 0: as many as config.json says
  std::vector<int32_t> words = {};  // of the word tables only these rows are held, in this order; empty: all.
                                    // Of a backbone from files
  AdapterOptions adapters = {};
};

/// How much a batch asks of a backbone. Pairs are (query, key): the sum of n^2 over sequences of n tokens.
struct BatchSizes {
  double tokens = 0, pairs = 0;
  // of an encoder that reads the prompts and a decoder that reads a start and the main texts
  double prompt_tokens = 0, prompt_pairs = 0, main_tokens = 0, main_pairs = 0, pairs_between = 0;
};

/// What is known of a backbone before its weights are read.
struct BackboneShape {
  int64_t width = 0;  // D
  int64_t num_layers = 0;
  int64_t num_words = 0;                                                      // N
  int64_t max_positions = 0;                                                  // longest sequence, in tokens
  bool predicts = true;                                                       // next words; false: reads only
  double dropout_embedding = 0, dropout_attention = 0, dropout_residual = 0;  // what it was trained with
  std::optional<int32_t> start_word = {};  // that a decoder beside an encoder reads first
};

/// A causal language model without its input embedding lookup and output head. Differentiable by autograd: gradients
/// flow to the input, and to the parameters if they require it (frozen by default). One copy per rank.
class Backbone {
 public:
  virtual ~Backbone() = default;

  virtual int64_t width() const = 0;  // D
  virtual int64_t num_layers() const = 0;
  virtual int64_t num_words() const = 0;      // N
  virtual int64_t max_positions() const = 0;  // longest sequence, in tokens

  /// Hidden states after the final norm. `x_TD`: token embeddings (no positions), fp32 or fp64; result [T, D] in the
  /// compute dtype, or [A, D] in the order of layout.output_rows_A.
  virtual at::Tensor forward(const at::Tensor& x_TD, const PackedLayout& layout, const Dropout& dropout) const = 0;

  /// States behind block `layer`, 1 .. num_layers() (behind the last one: with the final norm), of all tokens [T, D],
  /// without dropout.
  virtual at::Tensor states_after(int64_t layer, const at::Tensor& x_TD, const PackedLayout& layout) const;
  /// Next words; false: it only reads (BackboneShape::predicts).
  virtual bool can_predict() const { return true; }
  /// A token sees those before it only; false: all of its text.
  virtual bool is_causal() const { return true; }

  /// Whether the two passes with these rates only start kernels and read all that differs between batches of one shape
  /// from the layout's tensors, so that they can be recorded (dist/device/graph_recorder.h).
  virtual bool can_be_recorded(const Dropout& dropout) const {
    static_cast<void>(dropout);
    return false;
  }

  /// Word embedding [N, D] in the parameter dtype.
  virtual const at::Tensor& word_embedding() const = 0;
  /// The text head [N, D] in the compute dtype.
  virtual const at::Tensor& text_head() const = 0;
  /// The parameter that it is; the word embedding, unless the head is untied.
  virtual const at::Tensor& text_head_parameter() const { return word_embedding(); }

  /// Parameters by their Hugging Face names (without their family's prefix), for LLM-FtAll, LLM-Scratch and export.
  virtual std::vector<std::pair<std::string, at::Tensor>> parameters() const = 0;
  /// Makes parameters leaves that require gradients (fp32/fp64 compute follows the parameters).
  virtual void set_trainable(bool trainable) = 0;
  /// Beside its frozen matrices; they start by adding nothing.
  virtual const Adapters& adapters() const {
    static const Adapters none;
    return none;
  }
  /// What an optimiser of the backbone moves: its adapters, or else the parameters that require gradients.
  std::vector<std::pair<std::string, at::Tensor>> trainable() const {
    if (!adapters().empty()) return adapters().parameters();
    auto out = parameters();
    std::erase_if(out, [](const auto& named) { return !named.second.requires_grad(); });
    return out;
  }

  /// Floating-point operations of the matrix products of one forward pass, for model FLOP utilisation: `tokens` through
  /// the weights, and half of `pairs` (query, key), the sum of n^2 over sequences of n tokens, through causal
  /// attention.
  virtual double flops(double tokens, double pairs) const = 0;
  /// The same of any family.
  virtual double flops_of(const BatchSizes& batch) const { return flops(batch.tokens, batch.pairs); }

  /// Writes config.json and model.safetensors, which transformers and load_backbone read: parameters in their dtype,
  /// with what the adapters add.
  /// With `extra_rows` ([n, D] each), these follow the word embedding in this order and all is fp32; scores of a row
  /// are then logits of a word. One rank calls it.
  virtual void save(const std::string& dir, const std::vector<at::Tensor>& extra_rows = {}) const = 0;
};

inline at::Tensor Backbone::states_after(int64_t layer, const at::Tensor& x_TD, const PackedLayout& layout) const {
  if (layer == num_layers()) return forward(x_TD, layout, {});
  throw ModelError("layer " + std::to_string(layer) + ": this backbone gives the states of its last layer, " +
                   std::to_string(num_layers()) + ", only");
}

}  // namespace cllm
