#include "launch/trainer.h"

#include <ATen/ops/tensor.h>

#include <chrono>
#include <cmath>

#include "launch/errors.h"
#include "launch/ranker.h"
#include "launch/restore.h"

namespace cllm {
namespace {

double now_s() { return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count(); }

EpochSteps epoch_steps(const Sampler& sampler) {
  return {sampler.num_steps(StepKind::kCollaborative), sampler.num_steps(StepKind::kContent), sampler.num_steps(StepKind::kRecommendation)};
}

const StageSection& section_of(const RunConfig& config, Stage stage) {
  switch (stage) {
    case Stage::kWarmup: return config.warmup;
    case Stage::kMutual: return config.mutual;
    case Stage::kFinetune: break;
  }
  return config.finetune;
}

std::string where(const RunConfig& config, const Segment& segment, StepKind kind) {
  return "epoch " + std::to_string(segment.epoch + 1) + "/" + std::to_string(section_of(config, segment.stage).epochs) + " " +
         std::string(name_of(kind));
}

std::vector<std::pair<std::string, double>> as_list(const std::map<std::string, double>& metrics) {
  return {metrics.begin(), metrics.end()};
}

}  // namespace

Trainer::Trainer(Workspace& workspace, Communicator& comm, Log& log)
    : workspace_(workspace), config_(workspace.config), comm_(comm), log_(log), folder_(config_.run.dir),
      schedule_(config_, epoch_steps(workspace.sampler)), selection_(config_.finetune.select),
      step_(comm, workspace.model, *workspace.optimizer), last_save_s_(now_s()) {}

TrainOutcome Trainer::run() {
  start_or_resume();
  const auto& segments = schedule_.segments();
  for (size_t n = schedule_.segment_of(cursor_.global_step); n < segments.size() && !cursor_.finished; ++n) {
    begin(segments[n], schedule_.start_of(n));
    while (cursor_.global_step < schedule_.start_of(n + 1)) {
      train_step(segments[n]);
      if (cursor_.global_step == schedule_.start_of(n + 1)) finish(segments[n]);
      if (stop_requested()) {
        save();
        checkpoints_->finish();
        return {.interrupted = true, .test = {}};
      }
      if (checkpoint_due()) save();
    }
  }
  save();
  checkpoints_->finish();
  return test_best();
}

void Trainer::start_or_resume() {
  for (Table* table : {&workspace_.model.collaborative, &workspace_.model.content}) workspace_.optimizer->reset(*table);
  prepare(comm_, folder_.checkpoints());
  std::vector<Refusal> refused;
  const auto level = config_.checkpoint.verify == "quick" ? VerifyLevel::kQuick : VerifyLevel::kFull;
  const auto latest = find_latest(comm_, folder_.checkpoints(), &refused, level);
  for (const Refusal& refusal : refused) log_.info("checkpoint refused: " + refusal.dir.string() + ": " + refusal.reason);
  if (latest) {
    TrainState into = state();
    load(comm_, *latest, into);
    cursor_ = from_metadata(latest->metadata_json, workspace_.model, workspace_.backbone_optimizer.get(), config_digest(config_));
    saved_step_ = cursor_.global_step;
    log_.info("resumed at step " + std::to_string(cursor_.global_step) + " of " + std::to_string(schedule_.num_steps()));
  }
  checkpoints_ = std::make_unique<CheckpointWriter>(comm_, folder_.checkpoints(),
                                                    SaveOptions{.keep_last = static_cast<int>(config_.checkpoint.keep),
                                                                .milestone_steps = config_.checkpoint.milestone_steps});
  if (comm_.rank() == 0) {
    const auto resume_step = latest ? std::optional(cursor_.global_step) : std::nullopt;
    metrics_ = std::make_unique<MetricsWriter>(config_.run.dir, MetricsOptions{config_.log.jsonl, config_.log.tensorboard}, resume_step);
  }
  batches_ = std::make_unique<Prefetcher>([this](int64_t step) { return make_batch(step); }, cursor_.global_step, schedule_.num_steps());
}

/// A stage starts with fresh optimiser state (METHOD.md §6: finetuning has its own Adam); before a new learning rate the rows that
/// skip-aware Adam still owes updates are brought up to date.
void Trainer::begin(const Segment& segment, int64_t start) {
  if (cursor_.global_step == start) {
    flush_tables();
    if (schedule_.steps_of_before(segment.stage, start) == 0) {
      for (Table* table : {&workspace_.model.collaborative, &workspace_.model.content}) workspace_.optimizer->reset(*table);
      cursor_.validations_since_best = 0;
    }
    cursor_.sums = {};
  }
  segment_start_s_ = now_s();
  if (comm_.rank() == 0 && (!progress_ || stage_ != segment.stage)) {
    stage_ = segment.stage;
    progress_ = std::make_unique<StageProgress>(std::string(name_of(stage_)), schedule_.steps_of(stage_),
                                                schedule_.steps_of_before(stage_, cursor_.global_step));
  }
}

void Trainer::train_step(const Segment& segment) {
  const Batch batch = batches_->next().value();
  const StepLosses losses = step_.run(batch, step_config(segment, batch.kind));
  if (workspace_.backbone_optimizer) {
    workspace_.backbone_optimizer->step(segment.learning_rate * config_.optimizer.backbone_scale);
  }
  ++cursor_.global_step;
  record(segment, batch.kind, losses);
}

void Trainer::finish(const Segment& segment) {
  const SegmentSums& sums = cursor_.sums;
  const auto steps = static_cast<double>(std::max<int64_t>(sums.steps, 1));
  write(segment, "epoch", {{"loss", sums.loss / steps}, {"lm", sums.lm / steps}, {"mr", sums.mr / steps},
                           {"learning_rate", segment.learning_rate}},
        {{"seconds", now_s() - segment_start_s_}});
  if (segment.validate_after) validate(segment);
}

/// Keeps the state with the best validation score (METHOD.md §6), of mutual pretraining or of finetuning, each ranked by its own prompt.
void Trainer::validate(const Segment& segment) {
  if (progress_) progress_->pause();
  flush_tables();
  const MetricChoice ks = selection_.with({config_.evaluation.recall_k, config_.evaluation.ndcg_k});
  const auto metrics = evaluate(workspace_, comm_, {.part = Part::kValidation, .prompt = prompt_of(segment.stage), .metrics = ks});
  write(segment, "validation", as_list(metrics));

  const double score = selection_.score(metrics);
  const bool better = cursor_.best_step < 0 || score > cursor_.best_score;
  cursor_.validations_since_best = better ? 0 : cursor_.validations_since_best + 1;
  log_.info(where(config_, segment, segment.streams[0].first) + ": validation " + format_metrics(metrics) + (better ? "  (best)" : ""));
  if (better) {
    cursor_.best_score = score;
    cursor_.best_step = cursor_.global_step;
    cursor_.best_stage = segment.stage;
    save(kBestPin);  // the last act of a segment: a resumed run starts with the next
  }
  const bool patient = config_.finetune.patience == 0 || cursor_.validations_since_best < config_.finetune.patience;
  if (segment.stage == Stage::kFinetune && !patient) {
    log_.info("no better state in " + std::to_string(config_.finetune.patience) + " validations: training ends early");
    cursor_.finished = true;
  }
}

/// All ranks leave in the same step, whichever of them got the signal.
bool Trainer::stop_requested() {
  at::Tensor flag = at::tensor({stop_.received()}, at::kInt);
  comm_.all_reduce(flag, ReduceOp::kMax);
  const int signal = flag.item<int>();
  if (signal != 0) log_.info("signal " + std::to_string(signal) + ": saving after step " + std::to_string(cursor_.global_step));
  return signal != 0;
}

bool Trainer::checkpoint_due() {
  const CheckpointSection& when = config_.checkpoint;
  for (const int64_t steps : {when.every_steps, when.milestone_steps}) {
    if (steps > 0 && cursor_.global_step % steps == 0) return true;
  }
  if (when.every_seconds <= 0) return false;
  at::Tensor elapsed_s = at::tensor({now_s() - last_save_s_}, at::kDouble);  // clocks differ: rank 0 decides
  comm_.broadcast(elapsed_s, 0);
  return elapsed_s.item<double>() > when.every_seconds;
}

/// The state is copied at once and written in the background; a failed save is thrown by the next save or at the end, on all ranks.
void Trainer::save(const std::string& pin) {
  if (saved_step_ == cursor_.global_step) return;
  if (metrics_) metrics_->flush();
  TrainState saved = state();
  saved.metadata_json = to_metadata(cursor_, workspace_.model, workspace_.backbone_optimizer.get(), config_digest(config_));
  checkpoints_->start(cursor_.global_step, saved, pin);
  saved_step_ = cursor_.global_step;
  last_save_s_ = now_s();
}

TrainOutcome Trainer::test_best() {
  if (progress_) progress_->finish();
  const Stage last = schedule_.segments().back().stage;
  const BestState best = load_best(workspace_, comm_, folder_);
  const MetricChoice ks{config_.evaluation.recall_k, config_.evaluation.ndcg_k};
  TrainOutcome outcome{false, evaluate(workspace_, comm_, {.part = Part::kTest, .prompt = best.prompt, .metrics = ks})};
  log_.info("test, state of step " + std::to_string(best.step) + (best.prompt == StepKind::kCollaborative ? ", not finetuned: " : ": ") + format_metrics(outcome.test));
  if (comm_.rank() == 0) {
    metrics_->write({.step = cursor_.global_step, .stage = std::string(name_of(last)), .event = "test", .values = as_list(outcome.test)});
    metrics_->flush();
    folder_.write_result(outcome.test, best.step);
  }
  return outcome;
}

Batch Trainer::make_batch(int64_t global_step) const {
  const Segment& segment = schedule_.segments()[schedule_.segment_of(global_step)];
  const StepRef ref = schedule_.at(global_step);
  return workspace_.sampler.batch({ref.kind, static_cast<int64_t>(segment.stage), segment.epoch, ref.step}, comm_.rank(),
                                  comm_.world_size());
}

StepConfig Trainer::step_config(const Segment& segment, StepKind kind) const {
  StepConfig out;
  out.learning_rate = segment.learning_rate;
  out.item_softmax = config_.optimizer.item_softmax == "gathered" ? ItemSoftmax::kGathered : ItemSoftmax::kSharded;
  switch (kind) {
    case StepKind::kCollaborative: out.lambda = config_.loss.lambda_collaborative; break;
    case StepKind::kContent: out.lambda = segment.stage == Stage::kWarmup ? 0 : config_.loss.lambda_content; break;
    case StepKind::kRecommendation: out.lambda = config_.loss.lambda_finetune; break;
  }
  const bool content_in_finetune = segment.stage == Stage::kFinetune && kind == StepKind::kContent;
  if (content_in_finetune && !config_.loss.content_dropout_in_finetune) return out;
  const DropoutRates rates = stage_dropout(config_, section_of(config_, segment.stage), workspace_.backbone_dropout);
  out.dropout = {rates.embedding, rates.attention, rates.residual};
  return out;
}

void Trainer::record(const Segment& segment, StepKind kind, const StepLosses& losses) {
  if (!std::isfinite(losses.loss)) {
    throw ConfigError("step " + std::to_string(cursor_.global_step) + " (" + std::string(name_of(segment.stage)) + " " +
                      std::string(name_of(kind)) + "): the loss is " + std::to_string(losses.loss) + "; lower " +
                      std::string(name_of(segment.stage)) + ".learning_rate and start again from the last checkpoint");
  }
  SegmentSums& sums = cursor_.sums;
  sums = {sums.loss + losses.loss, sums.lm + losses.lm, sums.mr + losses.mr, sums.steps + 1};
  if (!progress_) return;
  progress_->step({losses.loss, losses.lm, losses.mr, losses.num_sequences, losses.num_tokens}, where(config_, segment, kind));
  if (cursor_.global_step % config_.log.every_steps != 0) return;
  const std::string corpus(name_of(kind));
  write(segment, "step", {{corpus + "/loss", losses.loss}, {corpus + "/lm", losses.lm}, {corpus + "/mr", losses.mr}},
        {{"sequences_per_s", progress_->sequences_per_s()}, {"tokens_per_s", progress_->tokens_per_s()}});
}

void Trainer::write(const Segment& segment, const std::string& event, std::vector<std::pair<std::string, double>> values,
                    std::vector<std::pair<std::string, double>> timing) {
  if (!metrics_) return;
  metrics_->write({cursor_.global_step, std::string(name_of(segment.stage)), event, std::move(values), std::move(timing)});
}

TrainState Trainer::state() const {
  return view_state(workspace_.model, workspace_.backbone_optimizer.get());
}

void Trainer::flush_tables() {
  for (Table* table : {&workspace_.model.collaborative, &workspace_.model.content}) workspace_.optimizer->flush(*table);
}

}  // namespace cllm
