#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <fstream>
#include <nlohmann/json.hpp>

#include "model/recommenders/cllm4rec/collate.h"
#include "tests/golden/families.h"
#include "tests/golden/local_parts.h"

namespace cllm::golden {
namespace {

/// What the cases of arch/<name>/cllm4rec.json share.
struct ArchCases {
  GoldenSet& set;
  ParityReport& report;
  std::string folder;
  Json index;
  SafetensorsFile truth;

  /// "layers.0.self_attn.q_proj.weight" as files name it: perhaps with a prefix that no architecture here has twice.
  std::string name_in_truth(const std::string& matrix) const {
    for (const Json& name : index.at("lora").at("weights")) {
      if (name == matrix || name.get<std::string>().ends_with("." + matrix)) return name;
    }
    throw std::runtime_error(folder + ": no adapter of " + matrix + " in cllm4rec.json");
  }
};

/// Of gradients. In fp32 the library's own differ from its fp64 ones by `f32_minus_f64_max_gap` of the case; the sums
/// here are taken in another order. In bf16 the matrices, drawn much larger than a trained model's, amplify what is
/// rounded to 2^-9: largest gap here 0.42.
double gradient_tolerance(const ArchCases& cases) {
  const GoldenSet& set = cases.set;
  if (set.dtype() == at::kDouble) return set.tolerances().value;
  if (set.is_bf16()) return 0.6;
  return std::max(set.tolerances().value, 5 * cases.index.at("f32_minus_f64_max_gap").get<double>());
}

AdapterOptions adapters_of(const Json& lora) {
  AdapterOptions out{.rank = lora.at("rank"), .alpha = lora.at("alpha")};
  for (const Json& name : lora.at("weights")) {
    const std::string matrix = name.get<std::string>().substr(0, name.get<std::string>().rfind('.'));
    const std::string module = matrix.substr(matrix.rfind('.', matrix.rfind('.') - 1) + 1);  // SelfAttention.q
    if (std::ranges::find(out.modules, module) == out.modules.end()) out.modules.push_back(module);
  }
  return out;
}

/// lora_A and lora_B of a matrix: its name in the truth, and which of the two.
std::pair<std::string, std::string> adapter_parts(const ArchCases& cases, const std::string& parameter) {
  const size_t end = parameter.rfind(".lora_");
  return {cases.name_in_truth(parameter.substr(0, end) + ".weight"), parameter.substr(end + 6, 1)};
}

void set_adapters(const ArchCases& cases, const Backbone& backbone) {
  const at::NoGradGuard no_grad;
  for (const auto& [name, value] : backbone.trainable()) {
    const auto [matrix, part] = adapter_parts(cases, name);
    at::Tensor(value).copy_(cases.truth.tensor("lora/" + matrix + "/" + part));
  }
}

/// The case's sequences on this rank (every world_size-th), each behind the token `bos` if there is one.
RecBatch batch_of(const ArchCases& cases, const Json& c, const Vocabulary& vocabulary) {
  const StepKind kind = kind_of(c);
  const Json& members = cases.index.at("batches").at(c.at("kind").get<std::string>());
  const LossOptions options;
  GroupTotals totals{{0}};
  std::vector<Sequence> mine;
  for (size_t n = 0; n < members.size(); ++n) {
    const Json& member = members[n];
    Sequence sequence;
    if (!c.at("bos").is_null()) sequence.prompt.push_back(c.at("bos"));
    for (const Json& token : member.at("prompt")) sequence.prompt.push_back(token);
    if (kind == StepKind::kRecommendation) {
      sequence.targets = member.at("held_out").get<std::vector<int32_t>>();
    } else {
      sequence.main = member.at("main").get<std::vector<int32_t>>();
    }
    totals.terms[0] += num_loss_terms(kind, options, std::ssize(sequence.main));
    if (n % static_cast<size_t>(cases.set.comm().world_size()) == static_cast<size_t>(cases.set.comm().rank())) {
      mine.push_back(std::move(sequence));
    }
  }
  return collate(mine, kind, totals, vocabulary, options);
}

void check_case(const ArchCases& cases, const Json& c) {
  GoldenSet& set = cases.set;
  const bool adapted = c.at("lora");
  const auto backbone = set.backbone(cases.folder, adapted ? adapters_of(cases.index.at("lora")) : AdapterOptions{});
  if (adapted) set_adapters(cases, *backbone);
  const Vocabulary vocabulary{backbone->num_words(), cases.index.at("n_users"), cases.index.at("n_items")};
  const RowLayout layout(vocabulary.num_users, vocabulary.num_items, set.comm().rank(), set.comm().world_size());
  const auto table = [&](const std::string& side) {
    return make_table(layout, set.placed(cases.truth.tensor("tables/" + side + "_user")),
                      set.placed(cases.truth.tensor("tables/" + side + "_item")));
  };
  RecModel model{backbone, table("l"), table("c")};
  const auto optimizer = make_row_optimizer({});
  for (Table* side : {&model.collaborative, &model.content}) optimizer->reset(*side);

  TrainStep step(set.comm(), model, *optimizer);
  kernels::RowGradient gradients;
  const RecBatch batch = batch_of(cases, c, vocabulary);
  const StepLosses losses = step.gradients(batch, {.lambda = cases.index.at("lambda"), .report_mr = true}, gradients);

  const auto name = c.at("name").get<std::string>();
  const std::string label = cases.folder + "/" + name;
  const Json& expected = c.at("f64");
  cases.report.compare(label + "/loss", losses.loss, expected.at("loss"), set.tolerances().loss);
  cases.report.compare(label + "/lm", losses.term("lm"), expected.at("lm"), set.tolerances().loss);
  cases.report.compare(label + "/mr", losses.term("mr"), expected.at("mr"), set.tolerances().loss);
  const Table& trained = batch.kind == StepKind::kContent ? model.content : model.collaborative;
  compare_tables(cases.report, name, side_of(batch.kind), whole_shard(gradients, trained), cases.truth, layout,
                 gradient_tolerance(cases));
  for (const auto& [parameter, value] : backbone->trainable()) {
    const auto [matrix, part] = adapter_parts(cases, parameter);
    const at::Tensor whole = cases.truth.tensor(name + "/" + matrix + "/" + part);
    cases.report.compare(label + "/" + parameter, value.grad(), whole, whole, gradient_tolerance(cases));
  }
}

Json read_json(const std::string& path) {
  std::ifstream in(path);
  if (!in) throw std::runtime_error("no golden file " + path);
  return Json::parse(in);
}

}  // namespace

void check_arch(GoldenSet& set, ParityReport& report, const std::string& name) {
  const std::string folder = "arch/" + name;
  check_states(set, report, folder);
  if (!set.backbone(folder)->can_predict()) return;
  const ArchCases cases{set, report, folder, read_json(set.path(folder + "/cllm4rec.json")),
                        set.open(folder + "/cllm4rec.safetensors")};
  for (const Json& c : cases.index.at("cases")) check_case(cases, c);
}

}  // namespace cllm::golden
