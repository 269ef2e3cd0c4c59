#include "data/sampling/plan.h"

#include <algorithm>
#include <stdexcept>
#include <string>

namespace cllm {

std::vector<PlannedSample> plan_step(const EpochOrder& order, int64_t num_samples, const BatchShape& shape,
                                     int64_t step) {
  if (step < 0 || step >= shape.num_steps(num_samples))
    throw std::out_of_range("plan: step " + std::to_string(step) + " of " +
                            std::to_string(shape.num_steps(num_samples)));
  const int64_t first = step * shape.samples_per_step();
  const int64_t last = std::min(first + shape.samples_per_step(), num_samples);
  std::vector<PlannedSample> samples;
  samples.reserve(static_cast<size_t>(last - first));
  for (int64_t position = first; position < last; ++position)
    samples.push_back({order.at(position), static_cast<int32_t>((position - first) / shape.group_size)});
  return samples;
}

}  // namespace cllm
