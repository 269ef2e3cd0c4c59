#include "model/recommenders/closed_form/ease_text.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/mm.h>
#include <ATen/ops/zeros.h>

#include <algorithm>
#include <optional>

#include "model/recommenders/closed_form/ease.h"
#include "model/recommenders/closed_form/gram.h"
#include "model/recommenders/closed_form/history_scores.h"
#include "model/recommenders/closed_form/inverse.h"
#include "model/recommenders/closed_form/memory.h"

namespace cllm {
namespace {

/// diag(A C) of symmetric A, without the product.
at::Tensor diagonal_of_product(const at::Tensor& A_JJ, const at::Tensor& C_JJ) {
  const int64_t J = A_JJ.size(0);
  at::Tensor out = at::zeros({J}, at::kDouble);
  for (int64_t first = 0; first < J; first += kRowsInFlight) {
    const int64_t n = std::min(kRowsInFlight, J - first);
    out.add_((A_JJ.narrow(0, first, n) * C_JJ.narrow(0, first, n)).sum(0));
  }
  return out;
}

}  // namespace

void EaseTextOptions::describe(Settings& settings) {
  settings.push_back({"ease_text.lambda_x", &lambda_x, "ridge of the item-item weights", at_least(0)});
  settings.push_back({"ease_text.lambda_f", &lambda_f, "ridge of the weights between texts", at_least(1e-6)});
  settings.push_back(
      {"ease_text.lambda_e", &lambda_e,
       "how strongly the weights are drawn to those between texts: much for short texts, little for long ones; "
       "lambda_x + lambda_e is as EASE's lambda",
       at_least(1e-6)});
  settings.push_back(
      {"ease_text.words", &text.words, "words that are kept, the most frequent ones; 0: all", at_least(0)});
  settings.push_back({"ease_text.largest_share", &text.largest_share,
                      "a word in more than this share of the items is left out", between(0, 1)});
  settings.push_back({"ease_text.memory_gib", &memory_gib,
                      "memory that the ranks of a host may take together; 0: what the host has available", at_least(0),
                      false, false});
}

std::vector<SearchKey> EaseTextOptions::search_space() const {
  return {{.key = "ease_text.lambda_x", .min = 1, .max = 500, .log = true},
          {.key = "ease_text.lambda_f", .min = 1, .max = 50, .log = true},
          {.key = "ease_text.lambda_e", .min = 1, .max = 500, .log = true}};
}

EaseText::EaseText(const EaseTextOptions& options, const OpenArguments& arguments)
    : ClosedForm("ease_text", arguments), options_(options) {
  const int64_t J = num_items(), in_flight = 3 * 8 * std::min(kRowsInFlight, J) * J;
  const int64_t of_first = ranks_.comm().rank() == 0 ? 3 * 8 * J * J + in_flight : 0;
  require_memory(arguments, ranks_.comm(),
                 {"ease_text", J, of_first + 4 * table_.layout.num_local_items() * J, options.memory_gib,
                  "three J x J matrices of 8-byte numbers on rank 0 and 4 J^2 / R for the rows of each rank",
                  "keep fewer items (prepare --k-core), take model.name = \"ials\", or raise ease_text.memory_gib"});
  make_rows(J, of_first);
}

at::Tensor weights_between_texts(const Corpus& corpus, Communicator& comm, const RowPartition& items,
                                 const TextVectorOptions& text, double ridge,
                                 const std::function<void(const std::function<void()>&)>& agreed) {
  std::optional<TextVectors> texts;
  agreed([&] { texts.emplace(corpus, text); });
  at::Tensor C =
      gather_on_first_rank(comm, items, [&](int64_t item, std::span<double> row) { texts->add_gram_row(item, row); });
  agreed([&] {
    if (comm.rank() != 0) return;
    C.diagonal().add_(ridge);
    C = inverse_of_positive(std::move(C));
    C.div_(C.diagonal().neg());
    C.diagonal().zero_();
  });
  return C;
}

StepLosses EaseText::fit() {
  Communicator& comm = ranks_.comm();
  const double ridge = options_.lambda_x + options_.lambda_e, pull = options_.lambda_e;
  const auto all_agree = [this](const auto& work) { agreed(work); };
  const at::Tensor C = weights_between_texts(corpus_, comm, items(), options_.text, options_.lambda_f, all_agree);
  const at::Tensor P = inverse_gram(corpus_, comm, items(), ridge, all_agree);
  at::Tensor gamma;
  if (comm.rank() == 0) gamma = (diagonal_of_product(P, C) * pull + 1) / P.diagonal();
  double distance = 0;  // |C|^2 - <B, C>
  hand_out_rows(
      comm, items(),
      [&](int64_t first, int64_t n) {
        const at::Tensor some = P.narrow(0, first, n), texts = C.narrow(0, first, n);
        at::Tensor rows = at::mm(some, C).mul_(pull).sub_(some * gamma);
        rows.diagonal(first).zero_();
        distance += (texts * (texts - rows)).sum().item<double>();
        return rows.to(at::kFloat);
      },
      table_.weight);
  double least = 0;
  if (comm.rank() == 0) least = (gamma - ridge).sum().item<double>() + pull * distance;
  const double loss = of_first_rank(comm, least / static_cast<double>(num_users()));
  return {.loss = loss, .terms = {{"objective", loss}}};
}

double EaseText::flops(const StepInput&, const StepSettings&) const {
  const auto J = static_cast<double>(num_items());
  return gram_flops() + (ranks_.comm().rank() == 0 ? 4 * J * J * J : 0);
}

std::vector<std::vector<ScoredItem>> EaseText::top_items(std::span<const RankingQuery> queries, int64_t k) {
  return top_items_of_histories(ranks_, table_, queries, k, 1, default_rows_at_a_time(num_items()));
}

Model ease_text_model() {
  return {.name = "ease_text",
          .summary = "EASE that is drawn to the similarity of the items' texts (L3AE)",
          .options = []() -> std::unique_ptr<ModelOptions> { return std::make_unique<EaseTextOptions>(); },
          .open = [](const ModelOptions& options, const OpenArguments& arguments) -> std::unique_ptr<Recommender> {
            return std::make_unique<EaseText>(dynamic_cast<const EaseTextOptions&>(options), arguments);
          },
          .closed_form = true};
}

}  // namespace cllm
