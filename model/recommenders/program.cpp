#include "model/recommenders/program.h"

#include <algorithm>

namespace cllm {

int64_t Segment::num_steps() const {
  int64_t total = 0;
  for (const Stream& stream : streams) total += stream.num_steps;
  return total;
}

StepRef Segment::at(int64_t step) const {
  if (streams.size() == 1) return {streams[0].task, stage, epoch, step};
  // Bresenham: after n steps of the mix, floor(n * first / total) belong to the first stream.
  const int64_t first = streams[0].num_steps, total = num_steps();
  const int64_t before = step * first / total, after = (step + 1) * first / total;
  if (after > before) return {streams[0].task, stage, epoch, before};
  return {streams[1].task, stage, epoch, step - before};
}

Program::Program(std::vector<std::string> stages, std::vector<std::string> tasks, const std::vector<Segment>& segments)
    : stages_(std::move(stages)), tasks_(std::move(tasks)) {
  for (Segment segment : segments) {
    std::erase_if(segment.streams, [](const Stream& stream) { return stream.num_steps == 0; });
    if (segment.streams.empty()) continue;
    starts_.push_back(starts_.back() + segment.num_steps());
    segments_.push_back(std::move(segment));
  }
}

bool Program::has(int task) const {
  return std::ranges::any_of(segments_, [&](const Segment& segment) {
    return std::ranges::any_of(segment.streams, [&](const Stream& stream) { return stream.task == task; });
  });
}

size_t Program::segment_of(int64_t global_step) const {
  return static_cast<size_t>(std::upper_bound(starts_.begin(), starts_.end(), global_step) - starts_.begin()) - 1;
}

int64_t Program::steps_of_before(int stage, int64_t global_step) const {
  int64_t steps = 0;
  for (size_t n = 0; n < segments_.size(); ++n) {
    if (segments_[n].stage != stage) continue;
    steps += std::clamp<int64_t>(global_step - starts_[n], 0, segments_[n].num_steps());
  }
  return steps;
}

int64_t Program::epochs_of(size_t segments) const {
  int64_t epochs = 0;
  for (size_t n = 0; n < segments; ++n) {
    const bool same =
        n > 0 && segments_[n].stage == segments_[n - 1].stage && segments_[n].epoch == segments_[n - 1].epoch;
    if (!same) ++epochs;
  }
  return epochs;
}

size_t Program::segments_for(int64_t epochs) const {
  for (size_t n = 0; n < segments_.size(); ++n) {
    if (segments_[n].validate_after && epochs_of(n + 1) >= epochs) return n + 1;
  }
  return segments_.size();
}

StepRef Program::at(int64_t global_step) const {
  const size_t segment = segment_of(global_step);
  return segments_[segment].at(global_step - starts_[segment]);
}

}  // namespace cllm
