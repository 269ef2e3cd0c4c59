#include "launch/output/step_meter.h"

#include <cstdio>

#include "launch/config/text.h"

namespace cllm {
namespace {

std::string line(const char* name, double seconds, double of_s) {
  char text[96];
  std::snprintf(text, sizeof text, "\n  %-12s %10.3f ms  %5.1f %%", name, 1e3 * seconds, 100 * seconds / of_s);
  return text;
}

std::string percent(const char* name, double share) {
  char text[48];
  std::snprintf(text, sizeof text, "%s%.0f%%", name, 100 * share);
  return text;
}

}  // namespace

void StepMeter::add(const StepCost& cost) {
  ++num_steps_;
  sum_.took_s += cost.took_s;
  sum_.waited_s += cost.waited_s;
  sum_.stalled_s += cost.stalled_s;
  sum_.exchanged_bytes += cost.exchanged_bytes;
  sum_.flops += cost.flops;
  for (const Phase& phase : kPhases) sum_.phases.*phase.seconds += cost.phases.*phase.seconds;
}

std::vector<std::pair<std::string, double>> StepMeter::means(const HardwareLimits& limits) const {
  if (num_steps_ == 0 || sum_.took_s <= 0) return {};
  std::vector<std::pair<std::string, double>> out{
      {"exchanged_bytes", sum_.exchanged_bytes / static_cast<double>(num_steps_)},
      {"exposed_communication", sum_.exposed_s() / sum_.took_s}};
  if (limits.flops_per_s > 0) out.emplace_back("mfu", sum_.flops / sum_.took_s / limits.flops_per_s);
  return out;
}

std::string StepMeter::brief(const HardwareLimits& limits, bool stalls_known) const {
  if (num_steps_ == 0 || sum_.took_s <= 0) return "";
  std::vector<std::string> parts;
  if (limits.flops_per_s > 0) parts.push_back(percent("MFU ", sum_.flops / sum_.took_s / limits.flops_per_s));
  if (sum_.exchanged_bytes > 0) {
    parts.push_back(percent(stalls_known ? "exposed " : "exposed >=", sum_.exposed_s() / sum_.took_s));
    parts.push_back(format_count(sum_.exchanged_bytes / static_cast<double>(num_steps_)) + "B/step");
  }
  return join(parts, "  ");
}

std::string StepMeter::phase_table() const {
  if (num_steps_ == 0 || sum_.took_s <= 0) return "no steps";
  const auto steps = static_cast<double>(num_steps_);
  const double took_s = sum_.took_s / steps;
  std::string out = "time of a step, mean of " + std::to_string(num_steps_);
  for (const Phase& phase : kPhases) out += line(phase.name, sum_.phases.*phase.seconds / steps, took_s);
  out += line("rest", took_s - sum_.phases.total() / steps, took_s) + line("step", took_s, took_s);
  return out + line("(waiting)", sum_.exposed_s() / steps, took_s);
}

}  // namespace cllm
