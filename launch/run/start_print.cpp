#include "launch/run/start_print.h"

#include <algorithm>
#include <cstdarg>
#include <cstdio>

#include "dist/device/device.h"
#include "launch/run/start_choices.h"

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

}  // namespace

std::string start_print(const Workspace& workspace, const MemoryPlan& memory, int world_size) {
  const RunConfig& config = workspace.config;
  const Vocabulary& sizes = workspace.vocabulary();
  const Corpus& corpus = workspace.corpus;
  const Program& program = workspace.model->program();
  std::string out = "resolved configuration\n" + to_toml(config);
  out += line(
      "\ncorpus     %s: %lld users, %lld items, %lld words; %lld training interactions, %lld texts with %lld tokens\n",
      config.run.corpus.c_str(), static_cast<long long>(sizes.num_users), static_cast<long long>(sizes.num_items),
      static_cast<long long>(sizes.num_words), static_cast<long long>(corpus.num_interactions(Part::kTrain)),
      static_cast<long long>(corpus.num_texts()), static_cast<long long>(corpus.num_text_tokens()));
  out += "model      " + config.model + ", computed in " + config.run.precision + "\n" + workspace.model->describe();
  if (config.run.table_precision == "bf16") out += "tables     rows in bf16, updates rounded stochastically\n";
  out += line("ranks      %d, on %s\n", world_size, describe(workspace.device).c_str());
  if (workspace.limits.flops_per_s > 0) {
    out += line(
        "limits     %.2f TFLOP/s by %s matrix products, %.2f TB/s by copies, measured on rank 0: what ratios are taken "
        "of\n",
        workspace.limits.flops_per_s / 1e12, config.run.precision.c_str(), workspace.limits.bytes_per_s / 1e12);
  }
  out += line("schedule   %lld steps:", static_cast<long long>(program.num_steps()));
  for (size_t stage = 0; stage < program.stages().size(); ++stage) {
    out += line("%s %s %lld", stage == 0 ? "" : ",", program.stages()[stage].c_str(),
                static_cast<long long>(program.steps_of(static_cast<int>(stage))));
  }
  out += "\n" + describe_choices(workspace);
  if (const std::string lonely = lonely_rank(world_size); !lonely.empty()) out += "WARNING    " + lonely + "\n";
  out += line(
      "memory     %.0f MiB per rank at the peak: %.0f in a rehearsal of the largest steps, optimizer %.0f, checkpoint "
      "copy %.0f",
      memory.total() / kMiB, memory.rehearsed / kMiB, memory.optimizer / kMiB, memory.snapshot / kMiB);
  if (memory.user_rows > 0) out += line(", user rows %.0f", memory.user_rows / kMiB);
  if (memory.on_gpu > 0) out += line("\nGPU memory %.0f MiB at the peak of the rehearsal", memory.on_gpu / kMiB);
  return out;
}

std::string format_metrics(const std::map<std::string, double>& metrics) {
  std::string out;
  for (const auto& [name, value] : metrics) out += line("%s%s %.4f", out.empty() ? "" : "  ", name.c_str(), value);
  return out;
}

std::string metrics_table(const std::string& part, const Baselines& baselines, const MetricValues& model,
                          const std::string& model_name) {
  std::string out = line("%-14s", part.c_str());
  for (const auto& [name, value] : model) out += line(" %12s", name.c_str());
  const auto row = [&](const std::string& title, const MetricValues& values) {
    out += line("\n%-14s", title.c_str());
    for (const auto& [name, value] : model) out += line(" %12.4f", values.at(name));
  };
  for (const auto& [title, baseline] : baselines) {
    if (baseline.not_run.empty()) {
      row(title, baseline.values);
    } else {
      out += line("\n%-14s ", title.c_str()) + "not run: " + baseline.not_run;
    }
  }
  row(model_name, model);
  return out + "\n";
}

}  // namespace cllm
