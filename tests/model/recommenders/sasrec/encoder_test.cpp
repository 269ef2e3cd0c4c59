#include "model/recommenders/sasrec/encoder.h"

#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/full.h>
#include <ATen/ops/mm.h>
#include <ATen/ops/softmax.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/zeros.h>
#include <gtest/gtest.h>

#include <cmath>
#include <map>

#include "tests/model/tensors.h"

namespace cllm {
namespace {

using testing::gap;
using testing::normal;

namespace sasrec_encoder {

constexpr int64_t kWidth = 6, kLength = 5;

SasrecOptions options_of(SasrecBlocks blocks) {
  SasrecOptions options;
  options.encoder = blocks;
  options.width = kWidth;
  options.heads = 2;
  options.blocks = 2;
  options.max_length = kLength;
  return options;
}

/// An encoder none of whose weights is 0 or 1.
SasrecEncoder encoder_of(SasrecBlocks blocks) {
  SasrecEncoder encoder(options_of(blocks), at::kDouble, at::kCPU, 1);
  uint64_t key = 50;
  for (const auto& [name, parameter] : encoder.parameters())
    parameter.detach().add_(normal(parameter.sizes(), key++), 0.3);
  return encoder;
}

/// The sources' form of one history: L places, padding on the left, masks in the place of missing keys and queries.
class Padded {
 public:
  Padded(SasrecBlocks blocks, const SasrecEncoder& encoder) : authors_(blocks == SasrecBlocks::kAuthors) {
    for (const auto& [name, parameter] : encoder.parameters()) p_[name] = parameter.detach();
  }

  at::Tensor forward(const at::Tensor& rows_nD) const {
    const int64_t n = rows_nD.size(0), pad = kLength - n;
    const at::Tensor real_L1 = at::cat({at::zeros({pad, 1}, at::kDouble), at::full({n, 1}, 1.0, at::kDouble)});
    at::Tensor x = at::cat({at::zeros({pad, kWidth}, at::kDouble), rows_nD}) * (authors_ ? std::sqrt(6.0) : 1.0);
    x = (x + p_.at("positions")) * real_L1;
    for (int block = 0; block < 2; ++block) {
      const std::string b = std::to_string(block) + ".";
      const at::Tensor q = norm(x, b + "norm1");
      const at::Tensor mixed = attend(q, authors_ ? x : q, real_L1, b);
      x = authors_ ? mixed + q : x + at::mm(mixed, p_.at(b + "wo")) + p_.at(b + "bo");
      const at::Tensor f = norm(x, b + "norm2");
      const at::Tensor inner = (at::mm(f, p_.at(b + "w1")) + p_.at(b + "b1")).clamp_min(0);
      x = ((authors_ ? f : x) + at::mm(inner, p_.at(b + "w2")) + p_.at(b + "b2")) * real_L1;
    }
    return norm(x, "norm").narrow(0, pad, n);
  }

 private:
  at::Tensor norm(const at::Tensor& x, const std::string& name) const {
    const at::Tensor centred = x - x.mean(1, true);
    const at::Tensor variance = (centred * centred).mean(1, true);
    return centred / (variance + (authors_ ? 1e-8 : 1e-5)).sqrt() * p_.at(name + ".gamma") + p_.at(name + ".beta");
  }

  at::Tensor attend(const at::Tensor& query, const at::Tensor& source, const at::Tensor& real_L1,
                    const std::string& b) const {
    const at::Tensor bias = p_.at(b + "qkv_bias");
    const auto project = [&](const at::Tensor& x, const char* name, int64_t place) {
      return at::mm(x, p_.at(b + name)) + bias.narrow(0, place * kWidth, kWidth);
    };
    const at::Tensor q = project(query, "wq", 0), k = project(source, "wk", 1), v = project(source, "wv", 2);
    std::vector<at::Tensor> heads;
    for (int64_t head = 0; head < 2; ++head) {
      const auto part = [&](const at::Tensor& x) { return x.narrow(1, head * 3, 3); };
      at::Tensor scores = at::mm(part(q), part(k).t()) / std::sqrt(3.0);
      for (int64_t i = 0; i < kLength; ++i) {
        for (int64_t j = 0; j < kLength; ++j)
          if (j > i || real_L1[j].item<double>() == 0) scores[i][j] = -4294967295.0;
      }
      heads.push_back(at::mm(at::softmax(scores, 1) * real_L1, part(v)));
    }
    return at::cat(heads, 1);
  }

  bool authors_;
  std::map<std::string, at::Tensor> p_;
};

TEST(SasrecEncoder, PackedHistoriesGiveWhatPaddedAndMaskedOnesDo) {
  const at::NoGradGuard no_grad;
  for (const SasrecBlocks blocks : {SasrecBlocks::kAuthors, SasrecBlocks::kStandard}) {
    const SasrecEncoder encoder = encoder_of(blocks);
    const Padded padded(blocks, encoder);
    const at::Tensor rows = normal({9, kWidth}, 7);
    const at::Tensor out = encoder.forward(rows, make_histories({3, 1, 5}, kLength, {}));
    int64_t first = 0;
    for (const int64_t n : {3, 1, 5}) {
      EXPECT_LT(gap(out.narrow(0, first, n), padded.forward(rows.narrow(0, first, n))), 1e-11);
      first += n;
    }
  }
}

TEST(SasrecEncoder, ALaterItemDoesNotChangeAnEarlierState) {
  const at::NoGradGuard no_grad;
  for (const SasrecBlocks blocks : {SasrecBlocks::kAuthors, SasrecBlocks::kStandard}) {
    const SasrecEncoder encoder = encoder_of(blocks);
    const Histories histories = make_histories({5}, kLength, {});
    const at::Tensor rows = normal({5, kWidth}, 8), before = encoder.forward(rows, histories);
    at::Tensor changed = rows.clone();
    changed[3] += normal({kWidth}, 10);  // a shift of all columns alike would be lost in the layer norm
    const at::Tensor after = encoder.forward(changed, histories);
    EXPECT_EQ(gap(before.narrow(0, 0, 3), after.narrow(0, 0, 3)), 0);
    EXPECT_GT(gap(before.narrow(0, 3, 2), after.narrow(0, 3, 2)), 1e-3);
  }
}

TEST(SasrecEncoder, DropoutIsAFunctionOfTheSequencesKey) {
  const at::NoGradGuard no_grad;
  const SasrecEncoder encoder = encoder_of(SasrecBlocks::kAuthors);
  const at::Tensor rows = normal({5, kWidth}, 9), two = rows.narrow(0, 3, 2);
  const at::Tensor together = encoder.forward(rows, make_histories({3, 2}, kLength, {11, 12}));
  EXPECT_LT(gap(together.narrow(0, 3, 2), encoder.forward(two, make_histories({2}, kLength, {12}))), 1e-12);
  EXPECT_GT(gap(together.narrow(0, 3, 2), encoder.forward(two, make_histories({2}, kLength, {13}))), 1e-3);
  EXPECT_GT(gap(together.narrow(0, 3, 2), encoder.forward(two, make_histories({2}, kLength, {}))), 1e-3);
}

}  // namespace sasrec_encoder
}  // namespace
}  // namespace cllm
