#include "launch/start_print.h"

#include <ATen/ops/tensor.h>

#include <algorithm>
#include <cstdarg>
#include <cstdio>
#include <fstream>

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

/// A line of /proc/self/status, in bytes. VmRSS is what is resident now: program, libraries, mapped backbone, tables; VmHWM was its peak.
double status_bytes(const std::string& name) {
  std::ifstream status("/proc/self/status");
  for (std::string text; std::getline(status, text);) {
    if (text.starts_with(name + ":")) return 1024.0 * std::stod(text.substr(name.size() + 1));
  }
  return 0;
}

/// Tokens of this rank's largest batch among the first steps of each corpus.
int64_t largest_batch_tokens(const Workspace& workspace, int rank, int world_size) {
  constexpr int64_t kSteps = 4;
  int64_t tokens = 0;
  for (const StepKind kind : {StepKind::kCollaborative, StepKind::kContent, StepKind::kRecommendation}) {
    for (int64_t step = 0; step < std::min(kSteps, workspace.sampler.num_steps(kind)); ++step) {
      tokens = std::max(tokens, workspace.sampler.batch({.kind = kind, .step = step}, rank, world_size).num_tokens());
    }
  }
  return tokens;
}

}  // namespace

std::string start_print(const Workspace& workspace, const Schedule& schedule, const MemoryPlan& memory, int world_size) {
  const RunConfig& config = workspace.config;
  const Vocabulary& sizes = workspace.vocabulary();
  const Corpus& corpus = workspace.corpus;
  const Backbone& backbone = *workspace.model.backbone;
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
  out += line("memory     %.0f MiB per rank at the peak: now %.0f, optimizer %.0f, activations %.0f, head %.0f, checkpoint copy %.0f",
              memory.total() / kMiB, memory.now / kMiB, memory.optimizer / kMiB, memory.activations / kMiB, memory.head / kMiB,
              memory.snapshot / kMiB);
  return out;
}

MemoryPlan plan_memory(const Workspace& workspace, int world_size) {
  const RunConfig& config = workspace.config;
  const RecModel& model = workspace.model;
  const double tables = static_cast<double>(model.collaborative.weight.nbytes() + model.content.weight.nbytes());
  const double moments = config.optimizer.name == "adam" || config.optimizer.name == "lazy_adam" ? 2 : 0;
  const double element = config.run.precision == "fp64" ? 8 : 4;
  const auto tokens = static_cast<double>(largest_batch_tokens(workspace, model.collaborative.layout.rank(), world_size));
  const auto width = static_cast<double>(model.backbone->width());
  constexpr double kPerLayer = 14;  // widths that backward needs of a token: two norm inputs, q, k, v, attention, 8 of the MLP
  constexpr double kOutside = 12;   // embeddings, their gradients, exchange buffers
  constexpr double kHead = 3 * 64 * kMiB;

  MemoryPlan plan;
  plan.now = status_bytes("VmRSS");
  plan.optimizer = moments * tables;
  plan.snapshot = tables + plan.optimizer;
  plan.activations = tokens * width * element * (kPerLayer * static_cast<double>(model.backbone->num_layers()) + kOutside);
  plan.head = std::min(kHead, 3 * tokens * static_cast<double>(workspace.vocabulary().num_items) * element);
  double backbone = 0;
  for (const auto& [name, tensor] : model.backbone->parameters()) backbone += static_cast<double>(tensor.nbytes());
  if (config.run.train_backbone) plan.optimizer += 4 * backbone;  // moments, gradients, their sum
  return plan;
}

std::string memory_print(const MemoryPlan& plan, Communicator& comm) {
  at::Tensor bytes = at::tensor({plan.total(), status_bytes("VmHWM")}, at::kDouble);
  comm.all_reduce(bytes, ReduceOp::kMax);
  const double predicted = bytes[0].item<double>(), measured = bytes[1].item<double>();
  return line("memory     peak %.0f MiB per rank, %.2f of the predicted %.0f MiB", measured / kMiB, measured / predicted, predicted / kMiB);
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
