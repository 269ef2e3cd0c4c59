#include "launch/run/schedule.h"

#include <algorithm>

namespace cllm {

std::string_view name_of(Stage stage) {
  switch (stage) {
    case Stage::kWarmup: return "warmup";
    case Stage::kMutual: return "mutual";
    case Stage::kFinetune: return "finetune";
  }
  return "";
}

std::string_view name_of(StepKind kind) {
  switch (kind) {
    case StepKind::kCollaborative: return "L";
    case StepKind::kContent: return "C";
    case StepKind::kRecommendation: return "F";
  }
  return "";
}

StepKind prompt_of(Stage stage) {
  return stage == Stage::kFinetune ? StepKind::kRecommendation : StepKind::kCollaborative;
}

int64_t Segment::num_steps() const {
  int64_t total = 0;
  for (const auto& [kind, steps] : streams) total += steps;
  return total;
}

StepRef Segment::at(int64_t step) const {
  if (!is_mixed()) return {streams[0].first, step};
  // Bresenham: after n steps of the mix, floor(n * first / total) belong to the first corpus.
  const int64_t first = streams[0].second, total = num_steps();
  const int64_t before = step * first / total, after = (step + 1) * first / total;
  if (after > before) return {streams[0].first, before};
  return {streams[1].first, step - before};
}

namespace {

std::vector<Segment> make_segments(const RunConfig& config, const EpochSteps& steps) {
  using Streams = std::vector<std::pair<StepKind, int64_t>>;
  std::vector<Segment> out;
  const auto add = [&](Stage stage, int64_t epoch, const StageSection& how, Streams streams, bool validate) {
    std::erase_if(streams, [](const auto& stream) { return stream.second == 0; });
    const double rate = stage_learning_rate(how, epoch, how.epochs);
    if (!streams.empty()) out.push_back({stage, epoch, rate, validate, std::move(streams)});
  };
  const auto due = [&](int64_t epoch, int64_t epochs) {
    const int64_t every = config.evaluation.every_epochs;
    return epoch + 1 == epochs || (every > 0 && (epoch + 1) % every == 0);
  };
  const Streams l{{StepKind::kCollaborative, steps.collaborative}},
      f{{StepKind::kRecommendation, steps.recommendation}};
  const Streams c{{StepKind::kContent, steps.content}};

  for (int64_t e = 0; e < config.warmup.epochs; ++e) add(Stage::kWarmup, e, config.warmup, c, false);
  for (int64_t e = 0; e < config.mutual.epochs; ++e) {
    const bool validate = due(e, config.mutual.epochs);
    if (config.mutual.schedule == "interleave" && config.mutual.content_epochs) {
      add(Stage::kMutual, e, config.mutual, {l[0], c[0]}, validate);
    } else {
      add(Stage::kMutual, e, config.mutual, l, validate);
      if (config.mutual.content_epochs) add(Stage::kMutual, e, config.mutual, c, false);
    }
  }
  for (int64_t e = 0; e < config.finetune.epochs; ++e) {
    add(Stage::kFinetune, e, config.finetune, f, due(e, config.finetune.epochs));
    if (config.finetune.content_epochs) add(Stage::kFinetune, e, config.finetune, c, false);
  }
  return out;
}

}  // namespace

Schedule::Schedule(const RunConfig& config, const EpochSteps& steps)
    : segments_(make_segments(config, steps)), starts_{0} {
  for (const Segment& segment : segments_) starts_.push_back(starts_.back() + segment.num_steps());
}

std::set<StepKind> Schedule::kinds() const {
  std::set<StepKind> out;
  for (const Segment& segment : segments_) {
    for (const auto& [kind, steps] : segment.streams) out.insert(kind);
  }
  return out;
}

size_t Schedule::segment_of(int64_t global_step) const {
  return static_cast<size_t>(std::upper_bound(starts_.begin(), starts_.end(), global_step) - starts_.begin()) - 1;
}

int64_t Schedule::steps_of(Stage stage) const { return steps_of_before(stage, num_steps()); }

int64_t Schedule::steps_of_before(Stage stage, int64_t global_step) const {
  int64_t steps = 0;
  for (size_t n = 0; n < segments_.size(); ++n) {
    if (segments_[n].stage == stage)
      steps += std::clamp<int64_t>(global_step - starts_[n], 0, segments_[n].num_steps());
  }
  return steps;
}

StepRef Schedule::at(int64_t global_step) const {
  const size_t segment = segment_of(global_step);
  return segments_[segment].at(global_step - starts_[segment]);
}

}  // namespace cllm
