#include <ATen/ops/zeros_like.h>

#include "tests/golden/families.h"
#include "tests/support/gradient_sum.h"

namespace cllm::golden {
namespace {

/// The gradients of the shard as a whole: rows that were not touched are 0.
at::Tensor dense(const kernels::RowGradient& gradient, const Table& table) {
  return at::zeros_like(table.weight).index_copy_(0, gradient.rows_M, testing::gradient_sum(gradient, table.weight));
}

void compare_tables(GoldenSet& set, ParityReport& report, const std::string& name, const std::string& side,
                    const at::Tensor& local, const SafetensorsFile& truth) {
  const int64_t num_users = set.layout().num_local_users(), num_items = set.layout().num_local_items();
  const at::Tensor users = truth.tensor(name + "/" + side + "_user"), items = truth.tensor(name + "/" + side + "_item");
  report.compare(name + "/" + side + "_user", local.narrow(0, 0, num_users), set.own_users(users), users,
                 set.tolerances().value);
  report.compare(name + "/" + side + "_item", local.narrow(0, num_users, num_items), set.own_items(items), items,
                 set.tolerances().value);
}

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
    compare_tables(set, report, name, side_of(batch.kind),
                   dense(gradients, content ? model.content : model.collaborative), truth);
    if (also_backbone) compare_backbone(set, report, name, *model.backbone, truth);
  }
}

}  // namespace cllm::golden
