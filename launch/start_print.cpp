#include "launch/start_print.h"

#include <cstdarg>
#include <cstdio>

#include "model/gpt2_config.h"

namespace cllm {
namespace {

std::string line(const char* format, ...) __attribute__((format(printf, 1, 2)));
std::string line(const char* format, ...) {
  char text[512];
  va_list arguments;
  va_start(arguments, format);
  std::vsnprintf(text, sizeof text, format, arguments);
  va_end(arguments);
  return text;
}

constexpr double kMiB = 1024.0 * 1024.0;

double table_bytes(const Table& table) {
  double bytes = 0;
  for (const at::Tensor* tensor : {&table.weight, &table.moment1, &table.moment2, &table.row_step}) {
    if (tensor->defined()) bytes += static_cast<double>(tensor->nbytes());
  }
  return bytes;
}

}  // namespace

std::string start_print(const Workspace& workspace, const Schedule& schedule, int world_size) {
  const RunConfig& config = workspace.config;
  const Vocabulary& sizes = workspace.vocabulary();
  const Corpus& corpus = workspace.corpus;
  const Backbone& backbone = *workspace.model.backbone;
  const MemoryPlan memory = plan_memory(workspace, world_size);
  std::string out = "resolved configuration\n" + to_toml(config);
  out += line("\ncorpus     %s: %lld users, %lld items, %lld words; %lld training interactions, %lld texts with %lld tokens\n",
              config.run.corpus.c_str(), static_cast<long long>(sizes.num_users), static_cast<long long>(sizes.num_items),
              static_cast<long long>(sizes.num_words), static_cast<long long>(corpus.num_interactions(Part::kTrain)),
              static_cast<long long>(corpus.num_texts()), static_cast<long long>(corpus.num_text_tokens()));
  out += line("backbone   %s: width %lld, %lld positions, %s, %s\n", config.run.backbone.c_str(), static_cast<long long>(backbone.width()),
              static_cast<long long>(backbone.max_positions()), config.run.precision.c_str(),
              config.run.train_backbone ? "trained" : "frozen");
  out += line("ranks      %d, on %s\n", world_size, config.run.device.c_str());
  for (const auto& [kind, corpus_name] : {std::pair{StepKind::kCollaborative, "collaborative (L)"}, {StepKind::kContent, "content (C)"},
                                          {StepKind::kRecommendation, "recommendation (F)"}}) {
    out += line("epoch      %-19s %lld sequences in %lld steps of %lld\n", corpus_name,
                static_cast<long long>(workspace.sampler.num_samples(kind)), static_cast<long long>(workspace.sampler.num_steps(kind)),
                static_cast<long long>(config.batch.groups * config.loss.group_size));
  }
  out += line("schedule   %lld steps: warmup %lld, mutual %lld, finetune %lld\n", static_cast<long long>(schedule.num_steps()),
              static_cast<long long>(schedule.steps_of(Stage::kWarmup)), static_cast<long long>(schedule.steps_of(Stage::kMutual)),
              static_cast<long long>(schedule.steps_of(Stage::kFinetune)));
  out += line("memory     %.0f MiB per rank at the peak: tables %.0f, backbone %.0f, activations %.0f, head %.0f, snapshot %.0f, program %.0f",
              memory.total() / kMiB, memory.tables / kMiB, memory.backbone / kMiB, memory.activations / kMiB, memory.head / kMiB,
              memory.snapshot / kMiB, memory.program / kMiB);
  return out;
}

MemoryPlan plan_memory(const Workspace& workspace, int world_size) {
  const RunConfig& config = workspace.config;
  const Backbone& backbone = *workspace.model.backbone;
  MemoryPlan plan;
  for (const Table* table : {&workspace.model.collaborative, &workspace.model.content}) {
    plan.tables += table->weight.defined() ? 3 * static_cast<double>(table->weight.nbytes()) + table_bytes(*table) * 0 : 0;
  }
  for (const auto& [name, tensor] : backbone.parameters()) plan.backbone += static_cast<double>(tensor.nbytes());
  if (config.run.precision == "bf16") plan.backbone *= 1.5;
  if (config.run.train_backbone) plan.backbone *= 4;
  plan.snapshot = plan.tables;
  (void)world_size;
  return plan;
}

std::string metrics_table(const std::map<std::string, std::map<std::string, double>>& baselines,
                          const std::map<std::string, double>& model) {
  std::string out = line("%-14s", "test");
  for (const auto& [name, value] : model) out += line(" %12s", name.c_str());
  const auto row = [&](const std::string& title, const std::map<std::string, double>& values) {
    out += line("\n%-14s", title.c_str());
    for (const auto& [name, value] : model) out += line(" %12.4f", values.at(name));
  };
  for (const auto& [title, values] : baselines) row(title, values);
  row("cllm4rec", model);
  return out + "\n";
}

}  // namespace cllm
