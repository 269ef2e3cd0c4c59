#include "launch/run/measure_baselines.h"

#include <memory>

#include "launch/failures/agree.h"
#include "model/errors.h"

namespace cllm {
namespace {

/// Null if the model is refused on all ranks; `why` then says why.
std::unique_ptr<Recommender> open_or_say(const Workspace& workspace, const Model& model, std::string& why) {
  try {
    return open_model(workspace, model, *model.options(), /*to_train=*/true);
  } catch (const ModelError& refusal) {
    why = refusal.what();
    return nullptr;
  }
}

void fit(Recommender& model) {
  const StepRef only = model.program().at(0);
  model.step(*model.input(only), {.ref = only}, nullptr);
  model.flush([] {});
}

}  // namespace

std::vector<std::string> possible_baselines() {
  std::vector<std::string> out;
  for (const Model& model : models()) {
    if (model.closed_form) out.emplace_back(model.name);
  }
  return out;
}

std::optional<Baselines> measure_baselines(const Workspace& workspace, std::span<const std::string> models,
                                           EvaluationOptions options) {
  options.bootstrap = 0, options.groups = false;
  Communicator& world = workspace.channels.world;
  Baselines out;
  bool complete = true;
  together(world, [&] {
    for (const std::string& name : models) {
      Baseline& baseline = out[name];
      const auto model = open_or_say(workspace, *find_model(name), baseline.not_run);
      if (model == nullptr) continue;
      fit(*model);
      EvaluationResult result = evaluate(*model, workspace.corpus, world, options);
      complete = result.complete;
      if (!complete) return;
      baseline.values = std::move(result.values);
    }
  });
  if (!complete) return std::nullopt;
  return out;
}

}  // namespace cllm
