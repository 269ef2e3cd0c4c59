// Hidden states and logits against ../shared/golden/cllm4rec, and the small trained backbone on real texts.
#include <gtest/gtest.h>

#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/log_softmax.h>

#include "model/backbones/gpt2/gpt2.h"
#include "model/backbones/load_backbone.h"
#include "model/backbones/safetensors.h"
#include "support.h"

namespace cllm {
namespace {

using testing::relative_gap;
using testing::shared_dir;

struct Precision {
  at::ScalarType dtype;
  const char* name;
  double tolerance;
};
constexpr Precision kPrecisions[] = {{at::kDouble, "f64", 1e-9}, {at::kFloat, "f32", 2e-5}};

std::shared_ptr<Backbone> load(const std::string& dir, at::ScalarType dtype) {
  return load_backbone(dir, {dtype, dtype});
}

class GoldenBackbone : public ::testing::TestWithParam<Precision> {
 protected:
  at::NoGradGuard no_grad_;
  std::string golden_ = shared_dir() + "/golden/cllm4rec";
};

TEST_P(GoldenBackbone, HiddenStatesAndLogitsOfEveryForwardCaseAgree) {
  const Precision precision = GetParam();
  const auto backbone = load(golden_ + "/tiny_gpt2", precision.dtype);
  const SafetensorsFile truth(golden_ + "/forward.f64.safetensors"), tables(golden_ + "/tables_std0.5.safetensors");
  int cases = 0;
  for (const std::string& name : truth.names()) {
    if (!name.ends_with("/hidden")) continue;
    ++cases;
    const std::string prefix = name.substr(0, name.size() - 6);
    const std::string side = prefix.starts_with("forward/C") ? "c" : "l";
    const at::Tensor mask = truth.tensor(prefix + "mask");
    const at::Tensor vocabulary =
        at::cat({backbone->word_embedding(), tables.tensor(side + "_user").to(precision.dtype),
                 tables.tensor(side + "_item").to(precision.dtype)});
    const at::Tensor x = vocabulary.index_select(0, testing::pack(truth.tensor(prefix + "ids"), mask));
    const PackedLayout layout = make_layout(testing::lengths_of(mask), at::kCPU);
    const at::Tensor hidden = backbone->forward(x, layout, {});
    EXPECT_LT(relative_gap(hidden, testing::pack(truth.tensor(name), mask)), precision.tolerance) << name;

    at::Tensor starts = at::empty({layout.num_sequences()}, at::kLong);
    for (int64_t b = 0; b < layout.num_sequences(); ++b) starts.mutable_data_ptr<int64_t>()[b] = layout.offsets[b];
    const at::Tensor active =
        starts.index_select(0, truth.tensor(prefix + "active_rows")) + truth.tensor(prefix + "active_columns");
    const at::Tensor head = side == "c" ? backbone->text_head() : tables.tensor("l_item").to(precision.dtype);
    EXPECT_LT(relative_gap(hidden.index_select(0, active).mm(head.t()), truth.tensor(prefix + "logits")),
              precision.tolerance)
        << prefix;
  }
  EXPECT_EQ(cases, 5);
}

TEST_P(GoldenBackbone, PrefixedNamesGiveTheLogitsOfTransformers) {
  const Precision precision = GetParam();
  const auto backbone = load(golden_ + "/arch/gpt2", precision.dtype);
  const SafetensorsFile io(golden_ + "/arch/gpt2/io.safetensors");
  const at::Tensor mask = io.tensor("input.attention_mask");
  const at::Tensor x = backbone->word_embedding().index_select(0, testing::pack(io.tensor("input.input_ids"), mask));
  const at::Tensor hidden = backbone->forward(x, make_layout(testing::lengths_of(mask), at::kCPU), {});
  EXPECT_LT(relative_gap(hidden, testing::pack(io.tensor("f64.last_hidden"), mask)), precision.tolerance);
  EXPECT_LT(relative_gap(hidden.mm(backbone->text_head().t()), testing::pack(io.tensor("f64.logits"), mask)),
            precision.tolerance);
}

INSTANTIATE_TEST_SUITE_P(Precisions, GoldenBackbone, ::testing::ValuesIn(kPrecisions),
                         [](const auto& test) { return test.param.name; });

/// Mean negative log-likelihood per token of three item texts of amazon_beauty (items 40, 77, 501), tokenised by the
/// backbone's own tokenizer.
double text_loss(const Backbone& backbone) {
  const std::vector<std::vector<int64_t>> texts{
      {4456, 6480, 1496, 1701, 4177, 840, 840, 269, 284, 3018, 11, 377, 11, 396, 11, 1779},
      {7814, 297, 599, 2004, 1747, 3918, 1400, 6218, 269, 356, 313, 11, 412, 11, 495, 11, 805},
      {6934, 1494, 4505, 2095, 4526, 2333, 345, 269, 340, 313, 11, 436, 618, 11, 340, 1336}};
  std::vector<int64_t> ids, lengths;
  for (const auto& text : texts) {
    ids.insert(ids.end(), text.begin(), text.end());
    lengths.push_back(static_cast<int64_t>(text.size()));
  }
  at::Tensor id = at::empty({static_cast<int64_t>(ids.size())}, at::kLong);
  std::copy(ids.begin(), ids.end(), id.mutable_data_ptr<int64_t>());
  const PackedLayout layout = make_layout(lengths, at::kCPU);
  const at::Tensor hidden = backbone.forward(backbone.word_embedding().index_select(0, id), layout, {});
  const at::Tensor log_p = at::log_softmax(hidden.mm(backbone.text_head().t()).to(at::kFloat), 1);
  double total = 0;
  for (int64_t b = 0; b < layout.num_sequences(); ++b) {
    for (int64_t t = layout.offsets[b]; t + 1 < layout.offsets[b + 1]; ++t)
      total -= log_p[t][ids[t + 1]].item<double>();
  }
  return total / static_cast<double>(layout.num_tokens() - layout.num_sequences());
}

TEST(TrainedBackbone, PredictsRealItemTextsInFp32AndInBf16) {
  const at::NoGradGuard no_grad;
  const std::string dir = shared_dir() + "/backbones/gpt2-mini-8k";
  const double fp32 = text_loss(*load_backbone(dir, {at::kFloat, at::kFloat}));
  EXPECT_NEAR(fp32, 3.391058, 1e-4);  // transformers 5 on the same ids
  EXPECT_NEAR(text_loss(*load_backbone(dir, {at::kFloat, at::kBFloat16})), fp32, 0.02);
}

}  // namespace
}  // namespace cllm
