#include <ATen/TensorOperators.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/mm.h>
#include <ATen/ops/ones_like.h>

#include <cmath>

#include "model/backbones/encoder/bert.h"
#include "model/backbones/encoder_decoder/t5.h"
#include "model/nn/packed_layout.h"
#include "tests/golden/families.h"
#include "tests/golden/local_parts.h"

namespace cllm::golden {
namespace {

/// This rank's part of a folder's inputs and results.
struct States {
  GoldenSet& set;
  ParityReport& report;
  std::string folder;
  SafetensorsFile io;
  at::Tensor mask = io.tensor("input.attention_mask");

  std::vector<int64_t> lengths(const at::Tensor& of) const {
    std::vector<int64_t> out;
    for (int64_t b = set.comm().rank(); b < of.size(0); b += set.comm().world_size())
      out.push_back(of[b].sum().item<int64_t>());
    return out;
  }
  at::Tensor ids(const std::string& name, const at::Tensor& of) const {
    return set.placed(unpadded(io.tensor(name).unsqueeze(2), of, set.comm()).flatten());
  }
  at::Tensor rows(const Backbone& backbone, const std::string& name, const at::Tensor& of) const {
    return backbone.word_embedding().index_select(0, ids(name, of));
  }
  void compare(const std::string& name, const at::Tensor& actual, const at::Tensor& of) const {
    const at::Tensor whole = io.tensor("f64." + name);
    report.compare(folder + "/" + name, actual, unpadded(whole, of, set.comm()), whole, set.tolerances().value);
  }
};

void check_causal(const States& states, const Backbone& backbone) {
  const at::Tensor x_TD = states.rows(backbone, "input.input_ids", states.mask);
  const std::vector<int64_t> lengths = states.lengths(states.mask);
  const at::Tensor hidden_TD =
      lengths.empty() ? x_TD.to(states.set.dtype()) : backbone.forward(x_TD, make_layout(lengths, x_TD.device()), {});
  states.compare("last_hidden", hidden_TD, states.mask);
  states.compare("logits", at::mm(hidden_TD, backbone.text_head().t()), states.mask);
}

void check_t5(const States& states, const T5& backbone) {
  const at::Tensor all = at::ones_like(states.io.tensor("input.decoder_input_ids"));
  const at::Tensor x_eD = states.rows(backbone, "input.input_ids", states.mask),
                   x_dD = states.rows(backbone, "input.decoder_input_ids", all);
  at::Tensor memory_eD = x_eD.to(states.set.dtype()), hidden_dD = x_dD.to(states.set.dtype());
  if (x_eD.size(0) > 0) {
    const PackedLayout encoder = make_layout(states.lengths(states.mask), x_eD.device()),
                       decoder = make_layout(states.lengths(all), x_dD.device());
    memory_eD = backbone.encode(x_eD, encoder, {});
    hidden_dD = backbone.decode(x_dD, decoder, memory_eD, encoder, {});
  }
  states.compare("encoder_last_hidden", memory_eD, states.mask);
  states.compare("last_hidden", hidden_dD, all);
  const double scale = backbone.config().tied ? 1 / std::sqrt(static_cast<double>(backbone.width())) : 1;
  states.compare("logits", at::mm(hidden_dD * scale, backbone.text_head().t()), all);
}

void check_bert(const States& states, const Bert& backbone) {
  const at::Tensor x_TD = states.rows(backbone, "input.input_ids", states.mask);
  const at::Tensor one_each = at::ones_like(states.mask.narrow(1, 0, 1));
  const at::Tensor none_BD = x_TD.narrow(0, 0, 0).to(states.set.dtype());
  at::Tensor hidden_TD = none_BD, pooled_BD = none_BD;
  std::vector<at::Tensor> means{none_BD};
  if (x_TD.size(0) > 0) {
    const PackedLayout layout = make_layout(states.lengths(states.mask), x_TD.device());
    hidden_TD = backbone.states(backbone.num_layers(), x_TD, layout, states.ids("input.token_type_ids", states.mask));
    pooled_BD = backbone.pooled(hidden_TD, layout);
    for (size_t b = 0; b + 1 < layout.offsets.size(); ++b)
      means.push_back(
          hidden_TD.narrow(0, layout.offsets[b], layout.offsets[b + 1] - layout.offsets[b]).mean(0, /*keepdim=*/true));
  }
  states.compare("last_hidden", hidden_TD, states.mask);
  const auto compare_rows = [&](const std::string& name, const at::Tensor& actual_BD) {
    const at::Tensor whole = states.io.tensor("f64." + name).unsqueeze(1);
    states.report.compare(states.folder + "/" + name, actual_BD, unpadded(whole, one_each, states.set.comm()), whole,
                          states.set.tolerances().value);
  };
  compare_rows("pooled", pooled_BD);
  compare_rows("masked_mean", at::cat(means));
}

}  // namespace

void check_states(GoldenSet& set, ParityReport& report, const std::string& folder) {
  const States states{set, report, folder, set.open(folder + "/io.safetensors")};
  const auto backbone = set.backbone(folder);
  if (const auto* t5 = dynamic_cast<const T5*>(backbone.get())) return check_t5(states, *t5);
  if (const auto* bert = dynamic_cast<const Bert*>(backbone.get())) return check_bert(states, *bert);
  check_causal(states, *backbone);
}

}  // namespace cllm::golden
