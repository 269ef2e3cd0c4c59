#include <ATen/TensorOperators.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/mm.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/tensor.h>

#include <nlohmann/json.hpp>

#include "model/backbones/gpt2/gpt2.h"
#include "model/kernels/compute_dtype.h"
#include "model/nn/packed_layout.h"
#include "tests/golden/families.h"
#include "tests/golden/local_parts.h"

namespace cllm::golden {
namespace {

/// The first `blocks` blocks of a backbone with a plain final norm: its output is the normalised residual stream after
/// them, which is all of the stream that any later layer can see. For blocks = 0, one block that adds nothing.
Gpt2 truncated(const Gpt2& whole, int64_t blocks) {
  Gpt2Config config = whole.config();
  config.num_layers = std::max<int64_t>(blocks, 1);
  std::map<std::string, at::Tensor> given;
  for (const auto& [name, parameter] : whole.parameters()) given[name] = parameter;
  Gpt2::Parameters kept;
  for (const auto& [name, shape] : gpt2_parameter_shapes(config)) {
    at::Tensor parameter = given.at(name).clone();
    if (blocks == 0 && name.find("c_proj") != std::string::npos) parameter.zero_();
    if (name == "ln_f.weight") parameter.fill_(1);
    if (name == "ln_f.bias") parameter.zero_();
    kept.emplace_back(name, parameter);
  }
  const at::ScalarType compute = whole.text_head().scalar_type();
  return Gpt2(config, std::move(kept), {residual_dtype(compute), compute, whole.word_embedding().device()});
}

at::Tensor normalised(const at::Tensor& x_TD, double epsilon) {
  const at::Tensor centred = x_TD - x_TD.mean(-1, true);
  return centred / (centred.square().mean(-1, true) + epsilon).sqrt();
}

/// One case, this rank's sequences of it.
struct Forward {
  GoldenSet& set;
  ParityReport& report;
  std::string name;
  RecBatch batch;
  RecModel model;

  at::Tensor golden(const std::string& key) const { return set.truth("forward").tensor(name + "/" + key); }
  const Table& table() const { return batch.kind == StepKind::kContent ? model.content : model.collaborative; }
  void compare(const std::string& key, const at::Tensor& actual, const at::Tensor& expected) const {
    report.compare(name + "/" + key, actual, expected, golden(key), set.tolerances().value);
  }
};

/// Which golden active positions (in the order of the whole batch) belong to this rank.
at::Tensor own_positions(const Forward& f) {
  return (f.golden("active_rows").remainder(f.set.comm().world_size()) == f.set.comm().rank()).nonzero().squeeze(1);
}

void compare_collation(const Forward& f) {
  const at::Tensor ids = unpadded(f.golden("ids"), f.golden("mask"), f.set.comm());
  f.report.expect(f.name + "/ids", at::equal(at::tensor(f.batch.token_ids, at::kLong), ids));
  std::vector<int64_t> active;
  const at::Tensor own = own_positions(f);
  for (int64_t n = 0; n < own.size(0); ++n) {
    const int64_t a = own[n].item<int64_t>(),
                  b = f.golden("active_rows")[a].item<int64_t>() / f.set.comm().world_size();
    active.push_back(f.batch.sequence_offsets[static_cast<size_t>(b)] + f.golden("active_columns")[a].item<int64_t>());
  }
  f.report.expect(f.name + "/active",
                  at::equal(at::tensor(f.batch.active_rows, at::kLong), at::tensor(active, at::kLong)));
  if (f.batch.kind == StepKind::kRecommendation) return;  // targets are sets of items, checked by the losses
  f.report.expect(f.name + "/targets",
                  at::equal(at::tensor(f.batch.targets, at::kLong), f.golden("targets").index_select(0, own)));
}

/// Input embeddings of this rank's tokens straight from the golden tables: the exchange is checked by the losses.
at::Tensor embed(const Forward& f, const std::string& std) {
  const SafetensorsFile tables = f.set.open("tables_std" + std + ".safetensors");
  const std::string side = side_of(f.batch.kind);
  const at::Tensor all = at::cat({f.model.backbone->word_embedding(), f.set.placed(tables.tensor(side + "_user")),
                                  f.set.placed(tables.tensor(side + "_item"))});
  return all.index_select(0, f.set.placed(at::tensor(f.batch.token_ids, at::kLong)));
}

/// NLL of every active position of the whole batch, one head call each: the rank that has it passes one position, the
/// others none.
void compare_nll(const Forward& f, const at::Tensor& hidden_AD) {
  const at::Tensor own = own_positions(f), nll = f.golden("nll");
  const bool content = f.batch.kind == StepKind::kContent;
  int64_t next = 0;
  std::vector<double> actual;
  for (int64_t a = 0; a < nll.size(0); ++a) {
    const bool mine = next < own.size(0) && own[next].item<int64_t>() == a;
    const int64_t count = mine ? 1 : 0;
    const at::Tensor ones = at::ones({count}, at::TensorOptions().dtype(at::kDouble).device(f.set.device()));
    const Targets target{f.set.placed(at::arange(count + 1, at::kLong)),
                         f.set.placed(f.golden("targets").narrow(0, a, count)), ones};
    const at::Tensor hidden = hidden_AD.narrow(0, mine ? next++ : 0, count);
    const HeadResult result = content ? text_softmax(hidden, f.model.backbone->text_head(), target)
                                      : item_softmax(f.set.comm(), f.set.layout().items(), ItemSoftmax::kSharded,
                                                     hidden, f.table().items(), target);
    if (mine) actual.push_back(result.loss);
  }
  f.compare("nll", at::tensor(actual, at::kDouble), nll.index_select(0, own));
}

void check_case(const Forward& f, const std::string& std) {
  compare_collation(f);
  const at::Tensor mask = f.golden("mask"), x_TD = embed(f, std);
  const PackedLayout layout = make_layout(f.batch, x_TD.device(), /*dropout=*/false);
  const auto& whole = dynamic_cast<const Gpt2&>(*f.model.backbone);
  const auto run = [&](const Backbone& backbone) {
    return f.batch.num_tokens() > 0 ? backbone.forward(x_TD, layout, {}) : x_TD.to(f.set.dtype());
  };
  for (int64_t blocks = 0; blocks <= whole.config().num_layers; ++blocks) {
    const at::Tensor expected =
        normalised(unpadded(f.golden("stream")[blocks], mask, f.set.comm()), whole.config().layer_norm_epsilon);
    f.report.compare(f.name + "/stream" + std::to_string(blocks) + " (normalised)", run(truncated(whole, blocks)),
                     expected, expected, f.set.tolerances().value);
  }
  const at::Tensor hidden_TD = run(whole);
  f.compare("hidden", hidden_TD, unpadded(f.golden("hidden"), mask, f.set.comm()));
  const at::Tensor hidden_AD = hidden_TD.index_select(0, f.set.placed(at::tensor(f.batch.active_rows, at::kLong)));
  const at::Tensor items = f.set.placed(f.set.open("tables_std" + std + ".safetensors").tensor("l_item"));
  const at::Tensor head = f.batch.kind == StepKind::kContent ? f.model.backbone->text_head() : items;
  f.compare("logits", at::mm(hidden_AD, head.to(hidden_AD.scalar_type()).t()),
            f.golden("logits").index_select(0, own_positions(f)));
  if (f.batch.kind != StepKind::kRecommendation) compare_nll(f, hidden_AD);
}

}  // namespace

void check_forward(GoldenSet& set, ParityReport& report) {
  for (Json c : set.index().at("forward")) {
    const auto std = c.at("tables").get<std::string>();
    const size_t size = set.index().at("batches").at(c.at("batch").get<std::string>()).size();
    c["groups"] = Json::array({Json::array()});
    for (size_t n = 0; n < size; ++n) c["groups"][0].push_back(n);
    check_case(
        {set, report, c.at("name"), set.batch(c, parse_preset(c.at("preset").get<std::string>())), set.model(std)},
        std);
  }
}

}  // namespace cllm::golden
