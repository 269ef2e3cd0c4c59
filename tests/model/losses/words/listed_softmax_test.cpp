#include "model/losses/words/listed_softmax.h"

#include <gtest/gtest.h>

#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/eye.h>
#include <ATen/ops/log.h>
#include <ATen/ops/log_softmax.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/zeros.h>

#include <cstdio>

#include "data/random.h"
#include "model/backbones/safetensors.h"
#include "tests/data/text/shared_files.h"
#include "tests/model/tensors.h"

namespace cllm {
namespace {

namespace listed {

using testing::gap;

/// With the identity as head, logits are hidden states.
TEST(ListedSoftmax, GivesTheGoldenValuesOfTca4Rec) {
  const auto index = testing::shared_json("golden/cllm4rec/index.json").at("tca");
  const SafetensorsFile inputs(testing::shared("golden/cllm4rec/tca/inputs.safetensors").string()),
      golden(testing::shared("golden/cllm4rec/tca/result.f64.safetensors").string());
  const at::Tensor logits = inputs.tensor("logits").to(at::kDouble), p_cf = golden.tensor("p_cf"),
                   label = golden.tensor("labels"), allowed = golden.tensor("allowed");
  const int64_t S = logits.size(0), V = logits.size(1);
  for (const double alpha : index.at("alphas")) {
    for (const std::string loss : {"full", "restricted", "soft_ce"}) {
      const bool restricted = loss == "restricted";
      ListedLabels labels{.words = {}, .labels = {}, .weights = std::vector<double>(S, 1.0 / static_cast<double>(S))};
      for (int64_t s = 0; s < S; ++s) {
        for (int64_t v = 0; v < V; ++v) {
          const double own = v == label[s].item<int64_t>() ? 1 : 0;
          const double y = (1 - alpha) * own + alpha * p_cf[s][v].item<double>();
          if (restricted ? allowed[s][v].item<int64_t>() == 0 : y == 0) continue;
          labels.words.ids.push_back(v);
          labels.labels.push_back(y);
        }
        labels.words.offsets.push_back(std::ssize(labels.words.ids));
      }
      char name[32];
      std::snprintf(name, sizeof name, alpha == 0.05 ? "alpha%.2f/" : "alpha%.1f/", alpha);
      const ListedSoftmax softmax{.form = loss == "soft_ce" ? SoftForm::kCrossEntropy : SoftForm::kLogOutside,
                                  .restricted = restricted,
                                  .temperature = restricted ? index.at("restricted_tau").get<double>() : 1};
      const HeadResult result = listed_softmax(logits, at::eye(V, at::kDouble), labels, softmax, false);
      EXPECT_LE(gap(result.hidden_gradient, golden.tensor(name + loss + "/grad")), 1e-14) << name << loss;
      EXPECT_NEAR(result.loss, golden.tensor(name + loss + "/loss_per_step").mean().item<double>(), 1e-12)
          << name << loss;
    }
  }
}

struct Case {
  at::Tensor hidden_AD, words_ND;
  ListedLabels labels;
};

Case random_case(int64_t listed, at::ScalarType dtype) {
  constexpr int64_t A = 7, N = 23, D = 5;
  CounterRng random(11);
  const auto normal = [&](int64_t rows) {
    at::Tensor out = at::zeros({rows, D}, at::kDouble);
    for (int64_t n = 0; n < rows * D; ++n) out.mutable_data_ptr<double>()[n] = random.normal();
    return out.to(dtype);
  };
  Case out{normal(A), normal(N), {}};
  for (int64_t a = 0; a < A; ++a) {
    double sum = 0;
    for (int64_t k = 0; k < listed; ++k) {
      out.labels.words.ids.push_back((3 * a + 2 * k) % N);
      out.labels.labels.push_back(listed == 1 ? 1 : random.uniform());
      sum += out.labels.labels.back();
    }
    for (int64_t k = 1; k <= listed; ++k) out.labels.labels[out.labels.labels.size() - static_cast<size_t>(k)] /= sum;
    out.labels.words.offsets.push_back(std::ssize(out.labels.words.ids));
    out.labels.weights.push_back(0.1 + random.uniform());
  }
  return out;
}

/// The formulas over dense labels, by autograd.
TEST(ListedSoftmax, GivesTheDenseFormulasAndTheGradientOfTheHead) {
  const Case c = random_case(4, at::kDouble);
  const int64_t A = c.hidden_AD.size(0), N = c.words_ND.size(0);
  at::Tensor y_AN = at::zeros({A, N}, at::kDouble), listed_AN = at::zeros({A, N}, at::kDouble);
  for (int64_t a = 0; a < A; ++a) {
    for (int64_t k = c.labels.words.offsets[a]; k < c.labels.words.offsets[a + 1]; ++k) {
      y_AN[a][c.labels.words.ids[k]] = c.labels.labels[k];
      listed_AN[a][c.labels.words.ids[k]] = 1;
    }
  }
  const at::Tensor weight_A = at::tensor(c.labels.weights, at::kDouble);
  for (const SoftForm form : {SoftForm::kLogOutside, SoftForm::kCrossEntropy}) {
    for (const bool restricted : {false, true}) {
      const at::AutoGradMode with_graph(true);
      const at::Tensor hidden = c.hidden_AD.clone().requires_grad_(true),
                       words = c.words_ND.clone().requires_grad_(true);
      at::Tensor logits = hidden.matmul(words.t()) / 1.7;
      if (restricted) logits = logits + at::log(listed_AN);
      const at::Tensor log_p = at::log_softmax(logits, 1);
      const at::Tensor of_position = form == SoftForm::kLogOutside
                                         ? (y_AN * log_p.exp()).sum(1).log()
                                         : (y_AN * log_p.masked_fill(listed_AN == 0, 0)).sum(1);
      const at::Tensor loss = -(weight_A * of_position).sum();
      loss.backward();
      const HeadResult result = listed_softmax(c.hidden_AD, c.words_ND, c.labels,
                                               {.form = form, .restricted = restricted, .temperature = 1.7}, true);
      EXPECT_NEAR(result.loss, loss.item<double>(), 1e-13);
      EXPECT_LT(gap(result.hidden_gradient, hidden.grad()), 1e-14);
      EXPECT_LT(gap(result.weight_gradient, words.grad()), 1e-14);
    }
  }
}

TEST(ListedSoftmax, OneListedWordGivesTheBitsOfThePlainSoftmax) {
  const Case c = random_case(1, at::kFloat);
  const HeadResult result = listed_softmax(c.hidden_AD, c.words_ND, c.labels, {}, true);
  const HeadResult plain =
      text_softmax(c.hidden_AD, c.words_ND,
                   {at::tensor(c.labels.words.offsets, at::kLong), at::tensor(c.labels.words.ids, at::kLong),
                    at::tensor(c.labels.weights, at::kDouble)},
                   true);
  EXPECT_EQ(result.loss, plain.loss);
  EXPECT_TRUE(at::equal(result.hidden_gradient, plain.hidden_gradient));
  EXPECT_TRUE(at::equal(result.weight_gradient, plain.weight_gradient));
}

TEST(ListedSoftmax, ProbabilitiesAreThoseOverAllWordsOrOverTheListed) {
  const Case c = random_case(3, at::kDouble);
  const at::Tensor logits = c.hidden_AD.matmul(c.words_ND.t()) / 2;
  const auto full = listed_log_probabilities(c.hidden_AD, c.words_ND, c.labels.words, {.temperature = 2});
  const auto few =
      listed_log_probabilities(c.hidden_AD, c.words_ND, c.labels.words, {.restricted = true, .temperature = 2});
  const at::Tensor log_p = at::log_softmax(logits, 1);
  for (int64_t a = 0; a < logits.size(0); ++a) {
    double sum = 0;
    for (int64_t k = 3 * a; k < 3 * a + 3; ++k) sum += std::exp(log_p[a][c.labels.words.ids[k]].item<double>());
    for (int64_t k = 3 * a; k < 3 * a + 3; ++k) {
      const double wanted = log_p[a][c.labels.words.ids[k]].item<double>();
      EXPECT_NEAR(full[k], wanted, 1e-13);
      EXPECT_NEAR(few[k], wanted - std::log(sum), 1e-13);
    }
  }
}

}  // namespace listed
}  // namespace
}  // namespace cllm
