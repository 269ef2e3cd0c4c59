#include "launch/run/step_inputs.h"

#include "data/random.h"

namespace cllm {

const StageSection& section_of(const RunConfig& config, Stage stage) {
  switch (stage) {
    case Stage::kWarmup: return config.warmup;
    case Stage::kMutual: return config.mutual;
    case Stage::kFinetune: break;
  }
  return config.finetune;
}

StepConfig step_config(const Workspace& workspace, const Segment& segment, StepKind kind, int64_t global_step) {
  const RunConfig& config = workspace.config;
  StepConfig out;
  out.learning_rate = segment.learning_rate;
  out.item_softmax = workspace.item_head(kind).form;
  out.trace = config.log.trace;
  out.negatives = config.optimizer.negatives;
  out.negative_key =
      stream_key(static_cast<uint64_t>(config.run.seed), Purpose::kNegatives, static_cast<uint64_t>(global_step));
  switch (kind) {
    case StepKind::kCollaborative: out.lambda = config.loss.lambda_collaborative; break;
    case StepKind::kContent: out.lambda = segment.stage == Stage::kWarmup ? 0 : config.loss.lambda_content; break;
    case StepKind::kRecommendation: out.lambda = config.loss.lambda_finetune; break;
  }
  const bool content_in_finetune = segment.stage == Stage::kFinetune && kind == StepKind::kContent;
  if (content_in_finetune && !config.loss.content_dropout_in_finetune) return out;
  const DropoutRates rates = stage_dropout(config, section_of(config, segment.stage), workspace.backbone_dropout);
  out.dropout = {rates.embedding, rates.attention, rates.residual};
  return out;
}

StepInput make_input(const Workspace& workspace, const Schedule& schedule, const Communicator& comm,
                     int64_t global_step) {
  const Segment& segment = schedule.segments()[schedule.segment_of(global_step)];
  const StepRef ref = schedule.at(global_step);
  const StepConfig config = step_config(workspace, segment, ref.kind, global_step);
  StepInput input{workspace.sampler.batch({ref.kind, static_cast<int64_t>(segment.stage), segment.epoch, ref.step},
                                          comm.rank(), comm.world_size()),
                  {}};
  input.tensors = make_tensors(input.batch, config.dropout.active(), workspace.model.collaborative.weight.device());
  return input;
}

}  // namespace cllm
