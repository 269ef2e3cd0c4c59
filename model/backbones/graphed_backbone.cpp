#include "model/backbones/graphed_backbone.h"

#include <ATen/core/grad_mode.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/zeros.h>
#include <ATen/ops/zeros_like.h>
#include <torch/csrc/autograd/autograd.h>

#include <algorithm>
#include <bit>
#include <compare>

#include "dist/device/device.h"
#include "model/nn/differentiable.h"

namespace cllm {

/// What a recording depends on besides the memory that it reads.
struct GraphedBackbone::Shape {
  int64_t num_tokens = 0, num_sequences = 0, num_outputs = 0, longest = 0;
  double embedding_dropout = 0, residual_dropout = 0;
  auto operator<=>(const Shape&) const = default;
};

namespace {

/// The next of few numbers: eight from one power of two to the next.
int64_t rounded_up(int64_t n) {
  const int64_t step = std::max<int64_t>(64, static_cast<int64_t>(std::bit_floor(static_cast<uint64_t>(n))) / 8);
  return (n + step - 1) / step * step;
}

int64_t next_power_of_two(int64_t n) { return static_cast<int64_t>(std::bit_ceil(static_cast<uint64_t>(n))); }

constexpr size_t kMostShapes = 64;  // later ones are not recorded

}  // namespace

/// Both passes of one shape, and the memory that they read and write.
struct GraphedBackbone::Passes {
  Passes(const Backbone& of, const Shape& filled, const Dropout& rates, const at::TensorOptions& x_options)
      : backbone(of), shape(filled), dropout(rates) {
    const auto whole = x_options.dtype(at::kLong);
    const auto hidden = x_options.dtype(of.text_head().scalar_type());
    x_TD = at::zeros({shape.num_tokens, of.width()}, x_options);
    x_gradient_TD = at::zeros_like(x_TD);
    hidden_AD = at::zeros({shape.num_outputs, of.width()}, hidden);
    gradient_AD = at::zeros_like(hidden_AD);
    layout.positions_T = at::zeros({shape.num_tokens}, whole);
    layout.offsets_B1 = at::zeros({shape.num_sequences + 1}, x_options.dtype(at::kInt));
    layout.output_rows_A = at::arange(shape.num_outputs, whole);
    if (dropout.active()) layout.dropout_keys_T = at::zeros({shape.num_tokens}, whole);
    layout.longest = shape.longest;
  }

  /// After the first load().
  void record(GraphRecorder& recorder) {
    const auto plays = recorder.record({[this] { run_forward(); }, [this] { run_backward(); }});
    play_forward = plays[0];
    play_backward = plays[1];
  }

  /// Puts a batch where the recording reads it, filled up to the shape by sequences of at most `longest` tokens and
  /// empty ones.
  void load(const at::Tensor& x, const PackedLayout& batch) {
    const int64_t T = x.size(0), A = batch.output_rows_A.size(0);
    x_TD.narrow(0, 0, T).copy_(x);
    layout.offsets = batch.offsets;
    while (layout.num_sequences() < shape.num_sequences) {
      layout.offsets.push_back(std::min(layout.offsets.back() + shape.longest, shape.num_tokens));
    }
    at::Tensor positions = at::empty({shape.num_tokens - T}, at::kLong);
    for (int64_t t = T; t < shape.num_tokens; ++t)
      positions.mutable_data_ptr<int64_t>()[t - T] = (t - T) % shape.longest;
    layout.positions_T.narrow(0, 0, T).copy_(batch.positions_T);
    write(layout.positions_T.narrow(0, T, shape.num_tokens - T), positions);
    write(layout.offsets_B1, at::tensor(layout.offsets, at::kInt));
    layout.output_rows_A.narrow(0, 0, A).copy_(batch.output_rows_A);
    write(layout.output_rows_A.narrow(0, A, shape.num_outputs - A),
          at::arange(T, T + shape.num_outputs - A, at::kLong));
    if (layout.dropout_keys_T.defined()) layout.dropout_keys_T.narrow(0, 0, T).copy_(batch.dropout_keys_T);
  }

  const Backbone& backbone;
  Shape shape;
  Dropout dropout;
  PackedLayout layout;
  at::Tensor x_TD, hidden_AD, gradient_AD, x_gradient_TD;
  GraphRecorder::Piece play_forward, play_backward;

 private:
  void run_forward() {
    const at::AutoGradMode with_graph(true);
    leaf_TD = x_TD.detach().set_requires_grad(true);
    out_AD = backbone.forward(leaf_TD, layout, dropout);
    hidden_AD.copy_(out_AD.detach());
  }
  void run_backward() {
    x_gradient_TD.copy_(torch::autograd::grad({out_AD}, {leaf_TD}, {gradient_AD})[0]);
    leaf_TD = out_AD = at::Tensor();
  }
  static void write(const at::Tensor& to, const at::Tensor& host) {
    to.copy_(staged(host, to.device()), /*non_blocking=*/true);
  }

  at::Tensor leaf_TD, out_AD;  // from a forward pass to its backward pass, where both are run
};

struct GraphedBackbone::Play : Differentiable {
  std::shared_ptr<Passes> passes;
  PackedLayout batch;
  Play(std::shared_ptr<Passes> of_shape, PackedLayout layout) : passes(std::move(of_shape)), batch(std::move(layout)) {}

  Tensors forward(const Tensors& x, Tensors&) const override {
    passes->load(x[0], batch);
    passes->play_forward();
    return {passes->hidden_AD.narrow(0, 0, batch.output_rows_A.size(0)).clone()};
  }
  Tensors backward(const Saved&, const Tensors& gradients) const override {
    const int64_t A = gradients[0].size(0);
    passes->gradient_AD.narrow(0, 0, A).copy_(gradients[0]);
    passes->gradient_AD.narrow(0, A, passes->shape.num_outputs - A).zero_();
    passes->play_backward();
    return {passes->x_gradient_TD.narrow(0, 0, batch.num_tokens()).clone()};
  }
};

GraphedBackbone::GraphedBackbone(std::shared_ptr<Backbone> backbone, int64_t most_tokens, at::Device device)
    : backbone_(std::move(backbone)), most_tokens_(most_tokens), recorder_(device) {}

GraphedBackbone::~GraphedBackbone() = default;

bool GraphedBackbone::can_record(const at::Tensor& x_TD, const PackedLayout& layout, const Dropout& dropout) const {
  return at::GradMode::is_enabled() && x_TD.requires_grad() && layout.num_tokens() <= most_tokens_ &&
         layout.longest <= max_positions() && layout.output_rows_A.defined() && backbone_->can_be_recorded(dropout);
}

at::Tensor GraphedBackbone::forward(const at::Tensor& x_TD, const PackedLayout& layout, const Dropout& dropout) const {
  if (!can_record(x_TD, layout, dropout)) return backbone_->forward(x_TD, layout, dropout);
  const int64_t A = layout.output_rows_A.size(0),
                longest = std::min(next_power_of_two(layout.longest), max_positions());
  Shape shape;
  shape.longest = longest;
  shape.embedding_dropout = dropout.embedding;
  shape.residual_dropout = dropout.residual;
  shape.num_outputs = rounded_up(A);
  shape.num_tokens =
      rounded_up(layout.num_tokens() + shape.num_outputs - A);  // a token for every output that nobody reads
  const int64_t fillers = (shape.num_tokens - layout.num_tokens() + longest - 1) / longest;
  shape.num_sequences = next_power_of_two(layout.num_sequences() + fillers);
  if (!passes_.contains(shape)) {
    if (passes_.size() == kMostShapes) return backbone_->forward(x_TD, layout, dropout);
    const auto passes = std::make_shared<Passes>(*backbone_, shape, dropout, x_TD.options());
    passes->load(x_TD.detach(), layout);
    passes->record(recorder_);
    passes_[shape] = passes;
  }
  return apply(Play(passes_.at(shape), layout), {x_TD})[0];
}

}  // namespace cllm
