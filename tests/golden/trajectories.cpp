
#include <ATen/TensorOperators.h>

#include "tests/golden/families.h"

namespace cllm::golden {
namespace {

/// A copy that has had every missed update; the table itself stays as lazy as it is.
Table flushed(const Table& table, const RowOptimizer& optimizer) {
  Table copy = table;
  for (at::Tensor* tensor : {&copy.weight, &copy.row_step}) *tensor = tensor->clone();
  for (RowState& state : copy.state) state.rows = state.rows.clone();
  optimizer.flush(copy);
  return copy;
}

struct Parts {
  at::Tensor local;
  const char* name;
};

/// Tables and moments of one side after a step. Adam divides by sqrt(v), so in fp32 a coordinate whose gradient is near
/// rounding may differ by up to 2 lr per step; `movement` is their sum so far.
void compare_state(GoldenSet& set, ParityReport& report, const std::string& name, const Table& table,
                   const std::string& side, double movement) {
  const SafetensorsFile& truth = set.truth("trajectory");
  const double tolerance = set.tolerances().trajectory;
  const int64_t num_users = table.layout.num_local_users(), num_items = table.layout.num_local_items();
  for (const Parts& part :
       {Parts{table.weight, "w"}, Parts{table.state_of("moment1"), "m"}, Parts{table.state_of("moment2"), "v"}}) {
    const double excused = part.name[0] == 'w' && set.dtype() == at::kFloat ? movement : 0;
    const std::string users_name = name + "/" + side + "_user/" + part.name,
                      items_name = name + "/" + side + "_item/" + part.name;
    const at::Tensor users = truth.tensor(users_name), items = truth.tensor(items_name);
    report.compare_moved(users_name, part.local.narrow(0, 0, num_users), set.own_users(users), users, tolerance,
                         excused);
    report.compare_moved(items_name, part.local.narrow(0, num_users, num_items), set.own_items(items), items, tolerance,
                         excused);
  }
}

/// Finetuning starts from the tables with fresh moments and step 1.
void start_finetuning(RecModel& model, const RowOptimizer& optimizer) {
  for (Table* table : {&model.collaborative, &model.content}) {
    optimizer.flush(*table);
    optimizer.reset(*table);
  }
}

}  // namespace

void check_trajectories(GoldenSet& set, ParityReport& report) {
  const auto optimizer = make_row_optimizer({});
  for (const Json& c : set.index().at("trajectories")) {
    const auto name = c.at("name").get<std::string>();
    const LossOptions options = parse_preset(c.at("preset").get<std::string>());
    RecModel model = set.model(c.at("tables"));
    optimizer->reset(model.collaborative);
    optimizer->reset(model.content);
    TrainStep step(set.comm(), model, *optimizer);
    bool finetuning = false;
    double movement = 0;
    int n = 0;
    for (const Json& s : c.at("steps")) {
      const StepKind kind = kind_of(s);
      if (kind == StepKind::kRecommendation && !finetuning) start_finetuning(model, *optimizer);
      finetuning = kind == StepKind::kRecommendation;
      const StepConfig config{.lambda = c.at("lambda"), .learning_rate = s.at("lr")};
      const StepLosses losses = step.run(set.batch(s, options), config);

      const std::string label = name + "/step" + std::to_string(n++);
      report.compare(label + "/loss", losses.loss, s.at("f64").at("loss"), set.tolerances().loss);
      report.compare(label + "/lm", losses.term("lm"), s.at("f64").at("lm"), set.tolerances().loss);
      report.compare(label + "/mr", losses.term("mr"), s.at("f64").at("mr"), set.tolerances().loss);
      movement += 2 * config.learning_rate;
      const Table& trained = kind == StepKind::kContent ? model.content : model.collaborative;
      compare_state(set, report, label, flushed(trained, *optimizer), side_of(kind), movement);
    }
  }
}

void check_adam(GoldenSet& set, ParityReport& report) {
  const SafetensorsFile inputs = set.open("adam/inputs.safetensors");
  const SafetensorsFile& truth = set.truth("adam/result");
  const at::Tensor start = set.placed(inputs.tensor("w")), touched = inputs.tensor("touched");
  const double learning_rate = set.index().at("adam").at("lr");
  const RowLayout layout(start.size(0), 0, set.comm().rank(), set.comm().world_size());
  const auto mine = [&](const at::Tensor& rows) {
    return rows.narrow(0, layout.users().begin(layout.rank()), layout.num_local_users());
  };
  Table table = make_table(layout, start, start.narrow(0, 0, 0));
  const auto optimizer = make_row_optimizer({});
  optimizer->reset(table);
  for (int64_t n = 0; n < touched.size(0); ++n) {
    const at::Tensor rows_M = mine(touched[n]).nonzero().squeeze(1);
    const at::Tensor gradients_MD = mine(inputs.tensor("gradients")[n]).index_select(0, rows_M);
    optimizer->update(table, {set.placed(rows_M), set.placed(gradients_MD)}, learning_rate);
    const Table now = flushed(table, *optimizer);
    const std::string label = "step" + std::to_string(n) + "/";
    for (const Parts& part :
         {Parts{now.weight, "w"}, Parts{now.state_of("moment1"), "m"}, Parts{now.state_of("moment2"), "v"}}) {
      const at::Tensor expected = truth.tensor(label + part.name);
      report.compare("adam/" + label + part.name, part.local, mine(expected), expected, set.tolerances().trajectory);
    }
  }
}

}  // namespace cllm::golden
