#include <ATen/ops/zeros_like.h>

#include "tests/golden/families.h"
#include "tests/golden/local_parts.h"

namespace cllm::golden {
namespace {

void compare_backbone(GoldenSet& set, ParityReport& report, const std::string& name, const Backbone& backbone,
                      const SafetensorsFile& truth) {
  for (const auto& [parameter_name, parameter] : backbone.parameters()) {
    const at::Tensor expected = truth.tensor(name + "/" + parameter_name);
    const at::Tensor actual = parameter.grad().defined() ? parameter.grad() : at::zeros_like(parameter);
    report.compare(name + "/" + parameter_name, actual, expected, expected, set.tolerances().value);
  }
}

}  // namespace

void check_losses(GoldenSet& set, ParityReport& report, ItemSoftmax form) {
  const SafetensorsFile& truth = set.truth("losses");
  const auto optimizer = make_row_optimizer({});
  for (const Json& c : set.index().at("losses")) {
    const auto name = c.at("name").get<std::string>();
    const bool also_backbone =
        c.at("also_backbone").get<bool>() && !set.is_bf16();  // a trained backbone computes in fp32
    RecModel model = set.model(c.at("tables"));
    optimizer->reset(model.collaborative);
    optimizer->reset(model.content);
    model.backbone->set_trainable(also_backbone);
    TrainStep step(set.comm(), model, *optimizer);
    const RecBatch batch = set.batch(c, parse_preset(c.at("preset").get<std::string>()));
    const StepConfig config{.lambda = c.at("lambda"), .report_mr = true, .item_softmax = form};
    kernels::RowGradient gradients;
    const StepLosses losses = step.gradients(batch, config, gradients);

    const Json& expected = c.at("f64");
    report.compare(name + "/loss", losses.loss, expected.at("loss"), set.tolerances().loss);
    report.compare(name + "/lm", losses.term("lm"), expected.at("lm"), set.tolerances().loss);
    report.compare(name + "/mr", losses.term("mr"), expected.at("mr"), set.tolerances().loss);
    const bool content = batch.kind == StepKind::kContent;
    compare_tables(report, name, side_of(batch.kind),
                   whole_shard(gradients, content ? model.content : model.collaborative), truth, set.layout(),
                   set.tolerances().value);
    if (also_backbone) compare_backbone(set, report, name, *model.backbone, truth);
  }
}

}  // namespace cllm::golden
