#include "model/recommenders/sasrec/encoder.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/addmm.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/full.h>
#include <ATen/ops/layer_norm.h>
#include <ATen/ops/mm.h>
#include <ATen/ops/relu.h>
#include <ATen/ops/tensor.h>

#include <cmath>
#include <map>

#include "data/random.h"
#include "dist/device/device.h"
#include "model/nn/attention.h"
#include "model/nn/dropout.h"
#include "model/tables/start_values.h"

namespace cllm {
namespace {

/// Places of a block where dropout acts; part of its salt.
enum Place : uint64_t { kInput, kAttention, kAfterAttention, kInner, kAfterInner };

constexpr double kAuthorsEpsilon = 1e-8, kStandardEpsilon = 1e-5;

}  // namespace

/// One forward pass: the parameters in its dtype, by name.
struct SasrecEncoder::Pass {
  std::map<std::string, at::Tensor> by_name;
  const PackedLayout& layout;

  const at::Tensor& p(const std::string& name) const { return by_name.at(name); }
  DropoutSite site(double rate, int64_t block, Place place) const {
    return {layout.dropout_keys_T, rate, static_cast<uint64_t>(block) * 8 + place};
  }
  at::Tensor norm(const at::Tensor& x_TD, const std::string& name, double epsilon) const {
    return at::layer_norm(x_TD, {x_TD.size(1)}, p(name + ".gamma"), p(name + ".beta"), epsilon);
  }
  /// Causal attention of queries from `q_TD` and of keys and values from `kv_TD`.
  at::Tensor attention(const at::Tensor& q_TD, const at::Tensor& kv_TD, const std::string& b, int64_t num_heads,
                       const DropoutSite& dropout_site) const {
    const at::Tensor qkv =
        at::cat({at::mm(q_TD, p(b + "wq")), at::mm(kv_TD, p(b + "wk")), at::mm(kv_TD, p(b + "wv"))}, 1);
    return causal_attention(qkv, p(b + "qkv_bias"), layout, num_heads, dropout_site);
  }
};

Histories make_histories(const std::vector<int64_t>& lengths, int64_t max_length, const std::vector<uint64_t>& keys) {
  Histories out{make_layout(lengths, at::kCPU), {}};
  std::vector<int64_t> places, token_keys;
  for (size_t n = 0; n < lengths.size(); ++n) {
    TORCH_CHECK(lengths[n] >= 1 && lengths[n] <= max_length, "a history has ", lengths[n], " items");
    for (int64_t i = 0; i < lengths[n]; ++i) {
      places.push_back(max_length - lengths[n] + i);
      if (!keys.empty()) {
        token_keys.push_back(static_cast<int64_t>(stream_key(keys[n], Purpose::kDropout, static_cast<uint64_t>(i))));
      }
    }
  }
  out.place_T = at::tensor(places, at::kLong);
  if (!keys.empty()) out.layout.dropout_keys_T = at::tensor(token_keys, at::kLong);
  return out;
}

Histories upload(const Histories& histories, at::Device device) {
  Histories out = histories;
  for (at::Tensor* tensor : {&out.place_T, &out.layout.positions_T, &out.layout.offsets_B1, &out.layout.dropout_keys_T})
    if (tensor->defined()) *tensor = cllm::upload(*tensor, device);
  return out;
}

SasrecEncoder::SasrecEncoder(const SasrecOptions& options, at::ScalarType dtype, at::Device device, uint64_t key)
    : blocks_(options.encoder), num_blocks_(options.blocks), num_heads_(options.heads), dropout_(options.dropout),
      epsilon_(options.encoder == SasrecBlocks::kAuthors ? kAuthorsEpsilon : kStandardEpsilon) {
  const bool authors = blocks_ == SasrecBlocks::kAuthors;
  const int64_t D = options.width, F = authors ? D : 4 * D;
  const auto add = [&](const std::string& name, const at::Tensor& start) {
    parameters_.emplace_back(name, start.to(device).requires_grad_(true));
  };
  const auto weight = [&](const std::string& name, int64_t in, int64_t out) {
    const Draw draw = authors ? xavier_uniform(in, out) : xavier_normal(in, out);
    add(name, drawn_rows(in, out, dtype, stream_key(key, Purpose::kDenseInit, parameters_.size()), draw));
  };
  const auto vector = [&](const std::string& name, int64_t size, double value) {
    add(name, at::full({size}, value, dtype));
  };
  const auto norm = [&](const std::string& name) {
    vector(name + ".gamma", D, 1);
    vector(name + ".beta", D, 0);
  };
  weight("positions", options.max_length, D);
  for (int64_t block = 0; block < num_blocks_; ++block) {
    const std::string b = std::to_string(block) + ".";
    norm(b + "norm1");
    for (const char* name : {"wq", "wk", "wv"}) weight(b + name, D, D);
    vector(b + "qkv_bias", 3 * D, 0);
    if (!authors) {
      weight(b + "wo", D, D);
      vector(b + "bo", D, 0);
    }
    norm(b + "norm2");
    weight(b + "w1", D, F);
    vector(b + "b1", F, 0);
    weight(b + "w2", F, D);
    vector(b + "b2", D, 0);
  }
  norm("norm");
}

at::Tensor SasrecEncoder::authors_block(const Pass& pass, const at::Tensor& x_TD, int64_t block) const {
  const std::string b = std::to_string(block) + ".";
  const auto site = [&](Place place) { return pass.site(dropout_, block, place); };
  const at::Tensor query = pass.norm(x_TD, b + "norm1", epsilon_);
  const at::Tensor y = pass.attention(query, x_TD, b, num_heads_, site(kAttention)) + query;
  const at::Tensor f = pass.norm(y, b + "norm2", epsilon_);
  const at::Tensor inner = dropout(at::relu(at::addmm(pass.p(b + "b1"), f, pass.p(b + "w1"))), site(kInner));
  return f + dropout(at::addmm(pass.p(b + "b2"), inner, pass.p(b + "w2")), site(kAfterInner));
}

at::Tensor SasrecEncoder::standard_block(const Pass& pass, const at::Tensor& x_TD, int64_t block) const {
  const std::string b = std::to_string(block) + ".";
  const auto site = [&](Place place) { return pass.site(dropout_, block, place); };
  const at::Tensor n = pass.norm(x_TD, b + "norm1", epsilon_);
  const at::Tensor mixed = pass.attention(n, n, b, num_heads_, site(kAttention));
  const at::Tensor y = x_TD + dropout(at::addmm(pass.p(b + "bo"), mixed, pass.p(b + "wo")), site(kAfterAttention));
  const at::Tensor f = pass.norm(y, b + "norm2", epsilon_);
  const at::Tensor inner = dropout(at::relu(at::addmm(pass.p(b + "b1"), f, pass.p(b + "w1"))), site(kInner));
  return y + dropout(at::addmm(pass.p(b + "b2"), inner, pass.p(b + "w2")), site(kAfterInner));
}

double SasrecEncoder::flops(double T, double pairs) const {
  double weights = 0;
  for (const auto& [name, parameter] : parameters_) {
    if (parameter.dim() == 2 && name != "positions") weights += static_cast<double>(parameter.numel());
  }
  const auto width = static_cast<double>(parameters_[0].second.size(1));
  return 2 * T * weights + static_cast<double>(num_blocks_) * 2 * pairs * width;
}

at::Tensor SasrecEncoder::forward(const at::Tensor& rows_TD, const Histories& histories) const {
  Pass pass{{}, histories.layout};
  for (const auto& [name, parameter] : parameters_) pass.by_name[name] = parameter.to(rows_TD.scalar_type());
  const bool authors = blocks_ == SasrecBlocks::kAuthors;
  const double scale = authors ? std::sqrt(static_cast<double>(rows_TD.size(1))) : 1;
  at::Tensor x = rows_TD * scale + pass.p("positions").index_select(0, histories.place_T);
  x = dropout(x, pass.site(dropout_, 0, kInput));
  for (int64_t block = 0; block < num_blocks_; ++block)
    x = authors ? authors_block(pass, x, block) : standard_block(pass, x, block);
  return pass.norm(x, "norm", epsilon_);
}

}  // namespace cllm
