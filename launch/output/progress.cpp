#include "launch/output/progress.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <utility>

#include "launch/config/text.h"
#include "launch/output/log.h"

namespace cllm {
namespace {

constexpr double kTerminalEveryS = 0.1;
constexpr double kLossMemory = 0.98;  // per step: a mean over about 50 steps
constexpr double kRateMemoryS = 30;

std::string padded(std::string text, size_t width) {
  text.resize(std::max(width, text.size()), ' ');
  return text;
}

std::string percent(double done, double total) {
  char text[16];
  std::snprintf(text, sizeof text, "%3.0f%%", std::floor(100 * done / total));
  return text;
}

/// Terms are named in small letters everywhere else.
std::string capitals(std::string name) {
  for (char& letter : name) letter = letter >= 'a' && letter <= 'z' ? static_cast<char>(letter - 'a' + 'A') : letter;
  return name;
}

std::string four_digits(double value) {
  char text[32];
  std::snprintf(text, sizeof text, "%#.4g", value);
  return text;
}

void mix(double& mean, double value, double keep) { mean = keep * mean + (1 - keep) * value; }

/// A term that the task had no value for yet starts at this one.
void mix_losses(StepProgress& means, const StepProgress& step) {
  mix(means.loss, step.loss, kLossMemory);
  for (const auto& [name, value] : step.terms) {
    const auto found = std::ranges::find(means.terms, name, &std::pair<std::string, double>::first);
    if (found == means.terms.end())
      means.terms.emplace_back(name, value);
    else
      mix(found->second, value, kLossMemory);
  }
}

}  // namespace

ProgressSink standard_progress_sink() {
  return {.write = [](const std::string& text) { std::fwrite(text.data(), 1, text.size(), stderr); },
          .now_s =
              [] { return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count(); },
          .terminal = writes_to_terminal()};
}

ProgressLine::ProgressLine(ProgressSink sink, double plain_every_s)
    : sink_(std::move(sink)), plain_every_s_(plain_every_s), last_s_(sink_.now_s()) {}

ProgressLine::~ProgressLine() {
  if (open_) sink_.write("\n");
}

void ProgressLine::update(const std::function<std::string()>& text) {
  const double now = sink_.now_s();
  if (now - last_s_ < (sink_.terminal ? kTerminalEveryS : plain_every_s_)) return;
  last_s_ = now;
  draw(text());
}

void ProgressLine::finish(const std::string& text) {
  draw(text);
  if (std::exchange(open_, false)) sink_.write("\n");
}

void ProgressLine::draw(const std::string& text) {
  sink_.write(sink_.terminal ? "\r\x1b[K" + text : text + "\n");
  open_ = sink_.terminal;
}

StageProgress::StageProgress(std::string stage, int64_t num_steps, int64_t done_steps, ProgressSink sink)
    : line_(std::move(sink)), stage_(std::move(stage)), num_steps_(num_steps), step_(done_steps),
      first_step_(done_steps), last_s_(line_.now_s()) {}

void StageProgress::step(const StepProgress& step, const std::string& note, const std::string& costs) {
  ++step_;
  note_ = note;
  costs_ = costs;
  measure(step);
  line_.update([this] { return text(); });
}

void StageProgress::measure(const StepProgress& step) {
  const double now = line_.now_s(), elapsed = std::max(now - last_s_, 1e-9);
  last_s_ = now;
  busy_s_ += elapsed;
  const bool first = step_ == first_step_ + 1;
  const double keep_rate = first ? 0 : std::exp(-elapsed / kRateMemoryS);
  task_ = step.task;
  const auto [means, fresh] = means_.try_emplace(task_, step);
  if (!fresh) mix_losses(means->second, step);
  mix(sequences_per_s_, static_cast<double>(step.sequences) / elapsed, keep_rate);
  mix(tokens_per_s_, static_cast<double>(step.tokens) / elapsed, keep_rate);
}

void StageProgress::pause() { last_s_ = line_.now_s(); }

void StageProgress::finish() { line_.finish(text()); }

std::string StageProgress::text() const {
  const double per_step = busy_s_ / std::max<double>(1, static_cast<double>(step_ - first_step_));
  const double left_s = per_step * static_cast<double>(num_steps_ - step_);
  const std::string time = step_ < num_steps_ ? "left " + format_duration(left_s) : "in " + format_duration(busy_s_);
  std::string losses;
  if (const auto means = means_.find(task_); means != means_.end()) {
    losses = "  loss " + four_digits(means->second.loss);
    for (const auto& [name, value] : means->second.terms) losses += "  " + capitals(name) + " " + four_digits(value);
  }
  return padded(stage_, 9) + " " +
         percent(static_cast<double>(step_), static_cast<double>(std::max<int64_t>(num_steps_, 1))) + "  " + note_ +
         losses + "  " + format_count(sequences_per_s_) + " seq/s  " + format_count(tokens_per_s_) + " tok/s  " +
         (costs_.empty() ? "" : costs_ + "  ") + time;
}

PhaseProgress::PhaseProgress(std::string phase, double total, std::string unit, ProgressSink sink)
    : line_(std::move(sink)), phase_(std::move(phase)), unit_(std::move(unit)), total_(total), start_s_(line_.now_s()) {
}

void PhaseProgress::set(double done) {
  done_ = done;
  line_.update([this] { return text(); });
}

void PhaseProgress::finish() {
  if (total_ > 0) done_ = total_;
  line_.finish(text());
}

std::string PhaseProgress::text() const {
  const double elapsed = std::max(line_.now_s() - start_s_, 1e-9), rate = done_ / elapsed;
  std::string line = phase_;
  if (total_ > 0) line += "  " + percent(done_, total_);
  line += "  " + format_count(done_) + (total_ > 0 ? " of " + format_count(total_) : "") + " " + unit_;
  line += "  " + format_count(rate) + " " + unit_ + "/s";
  const bool running = total_ > 0 && done_ < total_;
  return line + (running && rate > 0 ? "  left " + format_duration((total_ - done_) / rate)
                                     : "  in " + format_duration(elapsed));
}

}  // namespace cllm
