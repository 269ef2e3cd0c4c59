#include "model/recommenders/cllm4rec/stages.h"

namespace cllm {

const StageOptions& options_of(const Cllm4recOptions& options, Stage stage) {
  switch (stage) {
    case Stage::kWarmup: return options.warmup;
    case Stage::kMutual: return options.mutual;
    case Stage::kFinetune: break;
  }
  return options.finetune;
}

Program make_program(const Cllm4recOptions& options, const EpochSteps& steps, int64_t validate_every_epochs) {
  std::vector<Segment> segments;
  const auto add = [&](Stage stage, int64_t epoch, std::vector<Stream> streams, bool may_validate) {
    const StageOptions& how = options_of(options, stage);
    const bool due = epoch + 1 == how.epochs || (validate_every_epochs > 0 && (epoch + 1) % validate_every_epochs == 0);
    segments.push_back({.stage = static_cast<int>(stage),
                        .epoch = epoch,
                        .num_epochs = how.epochs,
                        .learning_rate = learning_rate_at(how, epoch, how.epochs),
                        .validate_after = may_validate && due,
                        .patience = stage == Stage::kFinetune ? options.finetune.patience : 0,
                        .streams = std::move(streams)});
  };
  const Stream l{static_cast<int>(StepKind::kCollaborative), steps.collaborative};
  const Stream c{static_cast<int>(StepKind::kContent), steps.content};
  const Stream f{static_cast<int>(StepKind::kRecommendation), steps.recommendation};

  for (int64_t e = 0; e < options.warmup.epochs; ++e) add(Stage::kWarmup, e, {c}, false);
  for (int64_t e = 0; e < options.mutual.epochs; ++e) {
    const bool with_content = options.mutual.content_epochs;
    if (options.mutual.schedule == MutualSchedule::kInterleave && with_content) {
      add(Stage::kMutual, e, {l, c}, true);
    } else {
      add(Stage::kMutual, e, {l}, true);
      if (with_content) add(Stage::kMutual, e, {c}, false);
    }
  }
  for (int64_t e = 0; e < options.finetune.epochs; ++e) {
    add(Stage::kFinetune, e, {f}, true);
    if (options.finetune.content_epochs) add(Stage::kFinetune, e, {c}, false);
  }
  return {{"warmup", "mutual", "finetune"}, {"L", "C", "F"}, segments};
}

}  // namespace cllm
