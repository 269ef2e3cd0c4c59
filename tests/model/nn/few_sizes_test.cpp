#include "model/nn/few_sizes.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/mm.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/zeros.h>
#include <ATen/record_function.h>

#include <gtest/gtest.h>

#include <mutex>
#include <set>
#include <string>

#include "data/random.h"
#include "model/backbones/gpt2/gpt2.h"
#include "model/losses/softmax_head.h"
#include "model/nn/products.h"
#include "tests/model/tensors.h"

namespace cllm {
namespace {

TEST(FewSizes, AreEightFromOnePowerOfTwoToTheNextAndWasteAnEighth) {
  std::set<int64_t> sizes;
  int64_t last = 0;
  for (int64_t n = 1; n <= 8192; ++n) {
    const int64_t size = few_sizes(n);
    EXPECT_GE(size, n);
    EXPECT_LT(size - n, std::max<int64_t>(16, n / 8)) << n;
    EXPECT_EQ(few_sizes(size), size) << n;
    EXPECT_GE(size, last);
    last = size;
    sizes.insert(size);
  }
  EXPECT_EQ(sizes.size(), 8u + 6 * 8);  // 16 .. 128, and six octaves
  EXPECT_EQ(few_sizes(0), 0);
}

at::Tensor bf16_normal(int64_t rows, int64_t columns, uint64_t seed) {
  return testing::normal({rows, columns}, seed).to(at::kBFloat16);
}

/// max|a - b| / max|b|
double relative_to_largest(const at::Tensor& a, const at::Tensor& b) {
  return testing::gap(a, b) / b.abs().max().item<double>();
}

TEST(FewSizes, AFilledProductIsTheProductOfTheRowsThemselvesToTheRoundingOfBf16) {
  const at::Tensor weight_VD = bf16_normal(50, 24, 1), before = testing::normal({50, 24}, 4).to(at::kFloat);
  for (const int64_t rows : {1, 15, 16, 17, 100, 333}) {
    const at::Tensor a = bf16_normal(rows, 24, 2), p = bf16_normal(rows, 50, 3);
    const at::Tensor logits = product(a, weight_VD.t());
    EXPECT_EQ(logits.sizes(), (std::vector<int64_t>{rows, 50}));
    EXPECT_LE(relative_to_largest(logits, a.to(at::kDouble).mm(weight_VD.t().to(at::kDouble))), 0x1p-8) << rows;
    at::Tensor sum = before.clone();
    add_product(sum, p.t(), a);
    const at::Tensor want = before.to(at::kDouble) + p.t().to(at::kDouble).mm(a.to(at::kDouble));
    EXPECT_LE(relative_to_largest(sum, want), 0x1p-8) << rows;
    at::Tensor of_rows = testing::normal({rows, 24}, 5).to(at::kFloat);
    const at::Tensor want_of_rows = of_rows.to(at::kDouble) + p.to(at::kDouble).mm(weight_VD.to(at::kDouble));
    add_product_of_rows(of_rows, p, weight_VD);
    EXPECT_LE(relative_to_largest(of_rows, want_of_rows), 0x1p-8) << rows;
  }
}

TEST(FewSizes, ProductsOfFp32AreNotFilled) {
  const at::Tensor a = testing::normal({17, 24}, 1).to(at::kFloat), b = testing::normal({24, 5}, 2).to(at::kFloat);
  EXPECT_TRUE(at::equal(product(a, b), at::mm(a, b)));
  EXPECT_FALSE(is_compiled_for_size(a));
  EXPECT_TRUE(filled_rows(a.narrow(0, 0, 16)).is_alias_of(a)) << "nothing to fill";
}

PackedLayout layout_of_random_lengths(CounterRng& random, int64_t longest) {
  std::vector<int64_t> lengths(2 + random.below(5));
  for (int64_t& length : lengths) length = 1 + static_cast<int64_t>(random.below(static_cast<uint64_t>(longest)));
  PackedLayout layout = make_layout(lengths, at::kCPU);
  std::vector<int64_t> outputs;
  for (int64_t t = 0; t < layout.num_tokens(); ++t) {
    if (random.below(3) == 0) outputs.push_back(t);
  }
  if (outputs.empty()) outputs.push_back(0);
  layout.output_rows_A = at::tensor(outputs, at::kLong);
  return layout;
}

Gpt2Config tiny_backbone() {
  Gpt2Config config;
  config.num_layers = 2;
  config.num_heads = 1;
  config.width = 8;
  config.max_positions = 160;
  config.num_words = 11;
  return config;
}

TEST(FilledBatch, ItsOwnRowsAndGradientsAreThoseWithoutFillers) {
  CounterRng random(5);
  const auto model = make_gpt2(tiny_backbone(), 3, {at::kDouble, at::kDouble});
  for (int round = 0; round < 6; ++round) {
    PackedLayout layout = layout_of_random_lengths(random, round == 0 ? 1 : 60);
    if (round % 3 == 2) layout.output_rows_A = at::Tensor();
    const Dropout dropout{0.1, 0.1, 0.1};
    layout.dropout_keys_T = at::tensor(std::vector<int64_t>(static_cast<size_t>(layout.num_tokens()), 77), at::kLong);
    at::Tensor plain = testing::normal({layout.num_tokens(), 8}, 1).to(at::kDouble).set_requires_grad(true);
    at::Tensor x = plain.detach().clone().set_requires_grad(true);
    const at::Tensor want = model->forward(plain, layout, dropout);
    const FilledBatch filled(x, layout);
    EXPECT_EQ(filled.x_TD.size(0), few_sizes(filled.x_TD.size(0)));
    EXPECT_EQ(filled.layout.num_tokens(), filled.x_TD.size(0));
    const at::Tensor got = filled.own(model->forward(filled.x_TD, filled.layout, dropout));
    ASSERT_EQ(got.sizes(), want.sizes());
    EXPECT_LE(testing::gap(got, want), 1e-13);
    want.sin().sum().backward();
    got.sin().sum().backward();
    EXPECT_LE(testing::gap(x.grad(), plain.grad()), 1e-12);
  }
}

/// The distinct shapes of all bf16 products between construction and end.
class ProductShapes {
 public:
  ProductShapes() {
    seen_.clear();
    handle_ = at::addGlobalCallback(at::RecordFunctionCallback(&note).needsInputs(true));
  }
  ~ProductShapes() { at::removeCallback(handle_); }
  static size_t count() { return seen_.size(); }

 private:
  static std::unique_ptr<at::ObserverContext> note(const at::RecordFunction& call) {
    const std::string name = call.name();
    if (name != "aten::mm" && name != "mkldnn::_linear_pointwise") return nullptr;
    std::string shape = name;
    for (const c10::IValue& input : call.inputs()) {
      if (!input.isTensor() || !input.toTensor().defined()) continue;
      if (input.toTensor().scalar_type() != at::kBFloat16) return nullptr;
      for (const int64_t size : input.toTensor().sizes()) shape += " " + std::to_string(size);
      shape += ",";
    }
    const std::scoped_lock lock(mutex_);
    seen_.insert(shape);
    return nullptr;
  }

  static inline std::mutex mutex_;
  static inline std::set<std::string> seen_;
  at::CallbackHandle handle_;
};

TEST(FilledBatch, AThousandBatchesMeetFewProducts) {
  CounterRng random(9);
  const auto model = make_gpt2(tiny_backbone(), 3, {at::kFloat, at::kBFloat16});
  std::set<std::pair<int64_t, int64_t>> batches, filled_batches;
  const ProductShapes shapes;
  for (int step = 0; step < 1000; ++step) {
    const PackedLayout layout = layout_of_random_lengths(random, 40);
    const int64_t A = layout.output_rows_A.size(0);
    batches.emplace(layout.num_tokens(), A);
    at::Tensor x = testing::normal({layout.num_tokens(), 8}, static_cast<uint64_t>(step)).to(at::kFloat);
    const FilledBatch filled(x, layout);
    filled_batches.emplace(filled.layout.num_tokens(), filled.layout.output_rows_A.size(0));
    const at::Tensor hidden = model->forward(x.set_requires_grad(true), layout, {});
    ASSERT_EQ(hidden.size(0), A);
    const Targets targets{at::arange(A + 1, at::kLong), at::zeros({A}, at::kLong), at::ones({A}, at::kDouble)};
    const HeadResult head = text_softmax(hidden.detach(), model->text_head(), targets, /*want_weight_gradient=*/true);
    hidden.backward(head.hidden_gradient.to(at::kBFloat16));
    EXPECT_TRUE(x.grad().defined());
  }
  EXPECT_GT(batches.size(), 700u);
  EXPECT_LE(filled_batches.size(), 16u * 8);
  if (!cpu_has_bf16()) {  // products are made in fp32 there, and oneDNN has none to compile
    EXPECT_EQ(ProductShapes::count(), 0u);
    return;
  }
  // 8 products of at most 16 sizes of tokens, 6 of a last block and 3 of a head of at most 8 of outputs
  EXPECT_LE(ProductShapes::count(), 8u * 16 + 6 * 8 + 3 * 8);
  EXPECT_GT(ProductShapes::count(), 20u);
}

}  // namespace
}  // namespace cllm
