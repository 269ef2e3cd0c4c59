#include "launch/run/trainer.h"

#include <chrono>
#include <cmath>
#include <limits>

#include "launch/failures/agree.h"
#include "launch/run/ranker.h"
#include "launch/run/restore.h"
#include "model/step/flops.h"

namespace cllm {
namespace {

constexpr std::chrono::milliseconds kDataPatience{100};  // between two meetings while a rank waits for its data

double now_s() { return Activity::now_s(); }

int64_t num_bytes(const TrainState& state) {
  size_t sum = 0;
  for (const ShardedTensor& tensor : state.tensors) sum += tensor.rows.nbytes();
  for (const ReplicatedTensor& tensor : state.replicated) sum += tensor.value.nbytes();
  return static_cast<int64_t>(sum);
}

EpochSteps epoch_steps(const Sampler& sampler) {
  return {sampler.num_steps(StepKind::kCollaborative), sampler.num_steps(StepKind::kContent),
          sampler.num_steps(StepKind::kRecommendation)};
}

std::string where(const RunConfig& config, const Segment& segment, StepKind kind) {
  return "epoch " + std::to_string(segment.epoch + 1) + "/" + std::to_string(section_of(config, segment.stage).epochs) +
         " " + std::string(name_of(kind));
}

std::vector<std::pair<std::string, double>> as_list(const std::map<std::string, double>& metrics) {
  return {metrics.begin(), metrics.end()};
}

}  // namespace

Trainer::Trainer(Workspace& workspace, const Channels& channels, Log& log, Supervision& supervision)
    : workspace_(workspace), config_(workspace.config), comm_(channels.world), log_(log), supervision_(supervision),
      files_(supervision.failpoints), folder_(config_.run.dir), schedule_(config_, epoch_steps(workspace.sampler)),
      selection_(config_.finetune.select),
      step_(channels, workspace.model, *workspace.optimizer, workspace.levels.get()),
      control_(comm_, log, supervision, num_bytes(state())),
      replicas_(
          comm_, [this] { return view_replicas(workspace_.model, workspace_.backbone_optimizer.get()); },
          config_.run.replica_check_steps),
      last_save_s_(now_s()), segment_start_s_(now_s()) {}

TrainOutcome Trainer::run() {
  together(comm_, [&] { start_or_resume(); });
  supervision_.failpoints.at("start.before_first_step");
  const int64_t next = cursor_.finish_due ? cursor_.global_step - 1 : cursor_.global_step;
  for (size_t n = schedule_.segment_of(next); n < schedule_.segments().size() && !cursor_.finished; ++n) {
    if (!train(n)) return interrupt();
  }
  supervision_.failpoints.at("end.before_save");
  save();
  checkpoints_->finish();
  return test_best();
}

/// One segment; false if the run must stop. Before every step the ranks meet.
bool Trainer::train(size_t n) {
  const Segment& segment = schedule_.segments()[n];
  const int64_t start = schedule_.start_of(n), end = schedule_.start_of(n + 1);
  if (start == end) return true;
  for (bool begun = false; cursor_.global_step < end; begun = true) {
    if (!meet(/*for_step=*/true)) return false;
    if (!begun) begin(segment, start);
    train_step(segment, end);
    cursor_.finish_due = cursor_.global_step == end;
  }
  return meet(/*for_step=*/false) && finish(segment);
}

void Trainer::start_or_resume() {
  for (Table* table : {&workspace_.model.collaborative, &workspace_.model.content}) workspace_.optimizer->reset(*table);
  supervision_.main.begin("load", 0, config_.run.load_deadline_s);
  supervision_.failpoints.at("load.before_find");
  Files* const files = supervision_.failpoints.armed() ? &files_ : nullptr;
  prepare(comm_, folder_.checkpoints(), files);
  std::vector<Refusal> refused;
  const auto level = config_.checkpoint.verify == "quick" ? VerifyLevel::kQuick : VerifyLevel::kFull;
  const auto latest = find_latest(comm_, folder_.checkpoints(), &refused, level);
  for (const Refusal& refusal : refused)
    log_.info("checkpoint refused: " + refusal.dir.string() + ": " + refusal.reason);
  if (latest) {
    supervision_.failpoints.at("load.before_read");
    cursor_ = load_state(workspace_, comm_, *latest, config_digest(config_));
    supervision_.failpoints.at("load.after_read");
    if (!cursor_.finish_due) saved_step_ = cursor_.global_step;
    log_.info("resumed at step " + std::to_string(cursor_.global_step) + " of " +
              std::to_string(schedule_.num_steps()));
  }
  checkpoints_ = std::make_unique<CheckpointWriter>(comm_, folder_.checkpoints(),
                                                    SaveOptions{.keep_last = static_cast<int>(config_.checkpoint.keep),
                                                                .milestone_steps = config_.checkpoint.milestone_steps,
                                                                .refuse_non_finite = true,
                                                                .files = files,
                                                                .activity = &supervision_.background,
                                                                .deadline_s = config_.run.save_deadline_s},
                                                    config_.checkpoint.whole_every);
  const auto resume_step = latest ? std::optional(cursor_.global_step) : std::nullopt;
  if (config_.log.samples) samples_ = std::make_unique<SampleLog>(comm_, config_.run.dir, resume_step);
  if (comm_.rank() == 0) {
    metrics_ = std::make_unique<MetricsWriter>(config_.run.dir,
                                               MetricsOptions{config_.log.jsonl, config_.log.tensorboard}, resume_step);
  }
  inputs_ = std::make_unique<Prefetcher<StepInput>>(
      [this](int64_t step) { return make_input(workspace_, schedule_, comm_, step); }, cursor_.global_step,
      schedule_.num_steps());
}

/// A stage starts with fresh optimiser state (METHOD.md §6: finetuning has its own Adam); before a new learning rate
/// the rows that skip-aware Adam still owes updates are brought up to date.
void Trainer::begin(const Segment& segment, int64_t start) {
  if (cursor_.global_step == start) {
    flush_tables();
    if (schedule_.steps_of_before(segment.stage, start) == 0) {
      for (Table* table : {&workspace_.model.collaborative, &workspace_.model.content})
        workspace_.optimizer->reset(*table);
      touched_.forget();
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

void Trainer::train_step(const Segment& segment, int64_t end) {
  Failpoints& failpoints = supervision_.failpoints;
  supervision_.main.begin("training step", cursor_.global_step + 1, config_.run.deadline_s);
  const auto take = [this] { return std::make_unique<StepInput>(inputs_->next().value()); };
  const auto config_of = [&](const StepInput& input, int64_t step) {
    StepConfig config = step_config(workspace_, segment, input.batch.kind, step);
    config.tensors = &input.tensors;
    return config;
  };
  input_ = next_input_ ? std::move(next_input_) : take();
  const Batch& batch = input_->batch;
  const double begin_s = now_s(), waited_s = supervision_.main.waited_s(), stalled_s = supervision_.main.stalled_s();
  if (failpoints.at("step.before_compute")) {
    checkpoints_->before_change();
    const at::Tensor& weight = workspace_.model.collaborative.weight;  // its last row is an item's
    weight.narrow(0, weight.size(0) - 1, 1).fill_(std::numeric_limits<double>::quiet_NaN());
  }
  StepConfig config = config_of(*input_, cursor_.global_step);
  config.before_change = [this] { checkpoints_->before_change(); };
  const int64_t moved_bytes = supervision_.main.moved_bytes();
  const bool ahead = config_.run.fetch_ahead && cursor_.global_step + 1 < end;
  if (ahead) next_input_ = take();
  const StepConfig next_config = ahead ? config_of(*next_input_, cursor_.global_step + 1) : StepConfig{};
  const NextStep next{ahead ? next_input_->batch : batch, next_config};
  const StepLosses losses = step_.run(batch, config, ahead ? &next : nullptr);
  if (workspace_.backbone_optimizer) {
    checkpoints_->before_change();
    workspace_.backbone_optimizer->step(segment.learning_rate * config_.optimizer.backbone_scale);
  }
  if (failpoints.at("step.after_compute")) replicas_.flip_a_bit();
  ++cursor_.global_step;
  const bool finite = std::isfinite(losses.loss);
  const NonFinite place = finite || step_.non_finite() != NonFinite::kNone ? step_.non_finite() : NonFinite::kLoss;
  const StepCost cost{.took_s = now_s() - begin_s,
                      .waited_s = supervision_.main.waited_s() - waited_s,
                      .stalled_s = supervision_.main.stalled_s() - stalled_s,
                      .exchanged_bytes = static_cast<double>(supervision_.main.moved_bytes() - moved_bytes)};
  control_.step_done(cost.took_s, cost.waited_s, batch.num_tokens(), place);
  count(batch, config, cost);
  failpoints.at("step.before_record");
  if (samples_) samples_->add(cursor_.global_step, batch);
  if (finite) record(segment, batch.kind, losses);
  failpoints.at("step.after_record");
  replicas_.step_done(cursor_.global_step);
}

/// False if the run must stop before the validation is done: the resumed run does it first.
bool Trainer::finish(const Segment& segment) {
  supervision_.failpoints.at("segment.before_finish");
  const SegmentSums& sums = cursor_.sums;
  const auto steps = static_cast<double>(std::max<int64_t>(sums.steps, 1));
  write(segment, "epoch",
        {{"loss", sums.loss / steps},
         {"lm", sums.lm / steps},
         {"mr", sums.mr / steps},
         {"learning_rate", segment.learning_rate}},
        {{"seconds", now_s() - segment_start_s_}});
  if (config_.log.trace) log_.info(std::string(name_of(segment.stage)) + ": " + of_segment_.phase_table());
  of_segment_ = {};
  if (segment.validate_after && !validate(segment)) return false;
  cursor_.finish_due = false;
  return true;
}

/// Keeps the state with the best validation score (METHOD.md §6), of mutual pretraining or of finetuning, each ranked
/// by its own prompt.
bool Trainer::validate(const Segment& segment) {
  supervision_.failpoints.at("validation.before");
  if (progress_) progress_->pause();
  flush_tables();
  const MetricChoice ks = selection_.with({config_.evaluation.recall_k, config_.evaluation.ndcg_k});
  const auto metrics =
      evaluate(workspace_, comm_,
               {.part = Part::kValidation, .prompt = prompt_of(segment.stage), .metrics = ks, .leave = [this] {
                  return must_leave_evaluation();
                }});
  if (metrics.empty()) return false;
  cursor_.finish_due = false;
  write(segment, "validation", as_list(metrics));

  const double score = selection_.score(metrics);
  const bool better = cursor_.best_step < 0 || score > cursor_.best_score;
  cursor_.validations_since_best = better ? 0 : cursor_.validations_since_best + 1;
  log_.info(where(config_, segment, segment.streams[0].first) + ": validation " + format_metrics(metrics) +
            (better ? "  (best)" : ""));
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
  supervision_.failpoints.at("validation.after");
  return true;
}

/// Before every step and at the end of a segment. While a rank waits for its data they meet again and again, so that a
/// signal is seen. False: the run must stop.
bool Trainer::meet(bool for_step) {
  supervision_.failpoints.at("step.before_meeting");
  supervision_.main.begin("meeting before the step", cursor_.global_step + 1, config_.run.deadline_s);
  const auto data_ready = [&] {
    const bool ready = !for_step || next_input_ || inputs_->wait_for(kDataPatience);
    if (!ready) supervision_.main.note("waiting for data");
    return ready;
  };
  for (bool save_due = for_step && checkpoint_due();; save_due = false) {
    const Decision decision = control_.meet(cursor_.global_step, *checkpoints_, save_due, data_ready);
    if (decision.stop) return false;
    if (decision.save) save();
    if (decision.ready) break;
  }
  supervision_.failpoints.at("step.after_meeting");
  return true;
}

/// Between two blocks of a validation.
bool Trainer::must_leave_evaluation() {
  supervision_.failpoints.at("validation.batch");
  supervision_.main.begin("validation", cursor_.global_step, config_.run.deadline_s);
  return control_.must_stop(cursor_.global_step, *checkpoints_);
}

/// Rank 0's word counts, since clocks differ.
bool Trainer::checkpoint_due() const {
  const CheckpointSection& when = config_.checkpoint;
  if (cursor_.global_step == 0) return false;
  for (const int64_t steps : {when.every_steps, when.milestone_steps}) {
    if (steps > 0 && cursor_.global_step % steps == 0) return true;
  }
  return when.every_seconds > 0 && now_s() - last_save_s_ > when.every_seconds;
}

TrainOutcome Trainer::interrupt() {
  supervision_.main.begin("save", cursor_.global_step, config_.run.save_deadline_s);
  save();
  checkpoints_->finish();
  return {.interrupted = true, .test = {}};
}

/// The state is copied at once and written in the background; a failed save is thrown by the next save or at the end,
/// on all ranks.
void Trainer::save(const std::string& pin) {
  if (saved_step_ == cursor_.global_step) return;
  settle();
  supervision_.main.begin("save", cursor_.global_step, config_.run.save_deadline_s);
  supervision_.failpoints.at("save.before_snapshot");
  replicas_.compare(cursor_.global_step);
  if (metrics_) metrics_->flush();
  if (samples_) samples_->flush();
  const bool whole = checkpoints_->next_is_whole() || !touched_.known();
  TrainState saved = whole ? state() : touched_.changed(state(), workspace_.model);
  if (whole && config_.checkpoint.whole_every > 1) touched_.remember(workspace_.model);
  saved.metadata_json =
      to_metadata(cursor_, workspace_.model, workspace_.backbone_optimizer.get(), config_digest(config_));
  checkpoints_->start(cursor_.global_step, saved, pin);
  supervision_.failpoints.at("save.after_snapshot");
  saved_step_ = cursor_.global_step;
  last_save_s_ = now_s();
}

TrainOutcome Trainer::test_best() {
  if (progress_) progress_->finish();
  const Stage last = schedule_.segments().back().stage;
  supervision_.failpoints.at("end.before_test");
  supervision_.main.begin("load", cursor_.global_step, config_.run.load_deadline_s);
  const BestState best = load_best(workspace_, comm_, folder_);
  const MetricChoice ks{config_.evaluation.recall_k, config_.evaluation.ndcg_k};
  const TrainOutcome outcome{
      false, evaluate(workspace_, comm_, {.part = Part::kTest, .prompt = best.prompt, .metrics = ks, .leave = [this] {
                                            return must_leave_evaluation();
                                          }})};
  if (outcome.test.empty())
    return {.interrupted = true, .test = {}};  // all is saved: the resumed run only does this test
  log_.info("test, state of step " + std::to_string(best.step) +
            (best.prompt == StepKind::kCollaborative ? ", not finetuned: " : ": ") + format_metrics(outcome.test));
  if (comm_.rank() == 0) {
    metrics_->write({.step = cursor_.global_step,
                     .stage = std::string(name_of(last)),
                     .event = "test",
                     .values = as_list(outcome.test)});
    metrics_->flush();
    folder_.write_result(outcome.test, best.step);
  }
  supervision_.main.begin("end of the run", cursor_.global_step, config_.run.deadline_s);
  supervision_.failpoints.at("end.after_test");
  return outcome;
}

void Trainer::count(const Batch& batch, const StepConfig& config, StepCost cost) {
  cost.flops = step_flops(batch, *workspace_.model.backbone, config, config_.run.train_backbone);
  cost.phases = step_.phases();
  since_record_.add(cost);
  of_segment_.add(cost);
}

void Trainer::record(const Segment& segment, StepKind kind, const StepLosses& losses) {
  SegmentSums& sums = cursor_.sums;
  sums = {sums.loss + losses.loss, sums.lm + losses.lm, sums.mr + losses.mr, sums.steps + 1};
  if (!progress_) return;
  progress_->step({std::string(name_of(kind)),
                   losses.loss,
                   {{"lm", losses.lm}, {"mr", losses.mr}},
                   losses.num_sequences,
                   losses.num_tokens},
                  where(config_, segment, kind),
                  of_segment_.brief(workspace_.limits, workspace_.device.is_cpu() || config_.log.trace));
  if (cursor_.global_step % config_.log.every_steps != 0) return;
  const std::string corpus(name_of(kind));
  std::vector<std::pair<std::string, double>> timing = since_record_.means(workspace_.limits);
  timing.insert(timing.begin(),
                {{"sequences_per_s", progress_->sequences_per_s()}, {"tokens_per_s", progress_->tokens_per_s()}});
  since_record_ = {};
  write(segment, "step", {{corpus + "/loss", losses.loss}, {corpus + "/lm", losses.lm}, {corpus + "/mr", losses.mr}},
        std::move(timing));
}

void Trainer::write(const Segment& segment, const std::string& event,
                    std::vector<std::pair<std::string, double>> values,
                    std::vector<std::pair<std::string, double>> timing) {
  if (!metrics_) return;
  metrics_->write(
      {cursor_.global_step, std::string(name_of(segment.stage)), event, std::move(values), std::move(timing)});
}

TrainState Trainer::state() const { return view_state(workspace_.model, workspace_.backbone_optimizer.get()); }

/// The tables get the update that the last step has left to the next one.
void Trainer::settle() {
  step_.settle([this] { checkpoints_->before_change(); });
}

void Trainer::flush_tables() {
  settle();
  checkpoints_->before_change();
  for (Table* table : {&workspace_.model.collaborative, &workspace_.model.content}) workspace_.optimizer->flush(*table);
}

}  // namespace cllm
