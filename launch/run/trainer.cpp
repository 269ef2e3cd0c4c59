#include "launch/run/trainer.h"

#include <chrono>
#include <cmath>
#include <limits>
#include <utility>

#include "launch/failures/agree.h"
#include "launch/run/restore.h"
#include "launch/run/start_print.h"

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

}  // namespace

Trainer::Trainer(Workspace& workspace, Log& log, Supervision& supervision, TrialOptions trial)
    : workspace_(workspace), model_(*workspace.model), config_(workspace.config), comm_(workspace.channels.world),
      log_(log), supervision_(supervision), trial_(std::move(trial)), files_(supervision.failpoints),
      folder_(config_.run.dir), program_(model_.program()), selection_(config_.select()),
      control_(comm_, log, supervision, num_bytes(view_state(model_.store()))),
      replicas_(
          comm_, [this] { return view_replicas(model_.store()); }, config_.run.replica_check_steps),
      last_save_s_(now_s()), segment_start_s_(now_s()) {}

TrainOutcome Trainer::run() {
  together(comm_, [&] { start_or_resume(); });
  supervision_.failpoints.at("start.before_first_step");
  const int64_t next = cursor_.finish_due ? cursor_.global_step - 1 : cursor_.global_step;
  const int64_t budget = trial_.pause_after ? trial_.pause_after(program_.epochs_of(program_.segments().size())) : 0;
  const size_t end = budget > 0 ? program_.segments_for(budget) : program_.segments().size();
  for (size_t n = program_.segment_of(next); n < end && !cursor_.finished; ++n) {
    if (!train(n)) return interrupt();
  }
  supervision_.failpoints.at("end.before_save");
  save();
  checkpoints_->finish();
  TrainOutcome outcome{.tested = false};
  const bool ended = cursor_.finished || cursor_.global_step == program_.num_steps();
  if (ended && trial_.test) outcome = test_best();
  tell_epochs(outcome);
  return outcome;
}

/// One segment; false if the run must stop. Before every step the ranks meet.
bool Trainer::train(size_t n) {
  const Segment& segment = program_.segments()[n];
  const int64_t start = program_.start_of(n), end = program_.start_of(n + 1);
  for (bool begun = false; cursor_.global_step < end; begun = true) {
    if (!meet(/*for_step=*/true)) return false;
    if (!begun) begin(segment, start);
    train_step(segment, end);
    cursor_.finish_due = cursor_.global_step == end;
  }
  return meet(/*for_step=*/false) && finish(segment);
}

void Trainer::start_or_resume() {
  model_.reset_optimizer();
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
    log_.info("resumed at step " + std::to_string(cursor_.global_step) + " of " + std::to_string(program_.num_steps()));
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
  inputs_ = std::make_unique<Prefetcher<std::unique_ptr<StepInput>>>(
      [this](int64_t step) { return model_.input(program_.at(step)); }, cursor_.global_step, program_.num_steps());
}

/// A stage starts with fresh optimiser state (METHOD.md §6: finetuning has its own Adam); before a new learning rate
/// the rows that skip-aware Adam still owes updates are brought up to date.
void Trainer::begin(const Segment& segment, int64_t start) {
  if (cursor_.global_step == start) {
    flush();
    if (program_.steps_of_before(segment.stage, start) == 0) {
      model_.reset_optimizer();
      touched_.forget();
      cursor_.validations_since_best = 0;
    }
    cursor_.sums = {};
  }
  segment_start_s_ = now_s();
  if (comm_.rank() == 0 && stage_ != segment.stage) {
    stage_ = segment.stage;
    progress_ = std::make_unique<StageProgress>(stage_name(segment), program_.steps_of(stage_),
                                                program_.steps_of_before(stage_, cursor_.global_step));
  }
}

Trainer::Step Trainer::take(const Segment& segment, int64_t global_step) {
  return {inputs_->next().value(),
          {.ref = program_.at(global_step),
           .global_step = global_step,
           .learning_rate = segment.learning_rate,
           .before_change = [this] { before_change(); }}};
}

void Trainer::train_step(const Segment& segment, int64_t end) {
  Failpoints& failpoints = supervision_.failpoints;
  supervision_.main.begin("training step", cursor_.global_step + 1, config_.run.deadline_s);
  step_ = next_step_ ? std::exchange(next_step_, std::nullopt) : take(segment, cursor_.global_step);
  const double begin_s = now_s(), waited_s = supervision_.main.waited_s(), stalled_s = supervision_.main.stalled_s();
  const int64_t moved_bytes = supervision_.main.moved_bytes();
  if (failpoints.at("step.before_compute")) {
    before_change();
    const at::Tensor& weight = model_.store().tables.at(0).table->weight;  // its last row is an item's
    weight.narrow(0, weight.size(0) - 1, 1).fill_(std::numeric_limits<double>::quiet_NaN());
  }
  std::optional<NextStep> next;
  if (config_.run.fetch_ahead && cursor_.global_step + 1 < end) {
    next_step_ = take(segment, cursor_.global_step + 1);
    next.emplace(*next_step_->input, next_step_->settings);
  }
  const StepLosses losses = model_.step(*step_->input, step_->settings, next ? &*next : nullptr);
  if (failpoints.at("step.after_compute")) replicas_.flip_a_bit();
  ++cursor_.global_step;
  const bool finite = std::isfinite(losses.loss);
  const NonFinite seen = model_.non_finite();
  const NonFinite place = finite || seen != NonFinite::kNone ? seen : NonFinite::kLoss;
  const StepCost cost{.took_s = now_s() - begin_s,
                      .waited_s = supervision_.main.waited_s() - waited_s,
                      .stalled_s = supervision_.main.stalled_s() - stalled_s,
                      .exchanged_bytes = static_cast<double>(supervision_.main.moved_bytes() - moved_bytes),
                      .flops = model_.flops(*step_->input, step_->settings),
                      .phases = model_.phases()};
  control_.step_done(cost.took_s, cost.waited_s, step_->input->num_tokens, place);
  since_record_.add(cost);
  of_segment_.add(cost);
  failpoints.at("step.before_record");
  if (samples_) samples_->add(cursor_.global_step, step_->input->keys);
  if (finite) record(segment, *step_, losses);
  failpoints.at("step.after_record");
  replicas_.step_done(cursor_.global_step);
}

/// False if the run must stop before the validation is done: the resumed run does it first.
bool Trainer::finish(const Segment& segment) {
  supervision_.failpoints.at("segment.before_finish");
  const SegmentSums& sums = cursor_.sums;
  const auto steps = static_cast<double>(std::max<int64_t>(sums.steps, 1));
  std::vector<std::pair<std::string, double>> means{{"loss", sums.loss / steps}};
  for (const auto& [name, sum] : sums.terms) means.emplace_back(name, sum / steps);
  means.emplace_back("learning_rate", segment.learning_rate);
  write(segment, "epoch", std::move(means), {{"seconds", now_s() - segment_start_s_}});
  if (config_.log.trace) log_.info(stage_name(segment) + ": " + of_segment_.phase_table());
  of_segment_ = {};
  if (segment.validate_after && has(Part::kValidation) && !validate(segment)) return false;
  cursor_.finish_due = false;
  return true;
}

/// Keeps the state with the best validation score (METHOD.md §6), of mutual pretraining or of finetuning, each ranked
/// by its own prompt.
bool Trainer::validate(const Segment& segment) {
  supervision_.failpoints.at("validation.before");
  if (progress_) progress_->pause();
  flush();
  model_.rank_as(segment.stage);
  const auto metrics = measure(Part::kValidation, selection_.with(config_.evaluation.metric_list()));
  if (metrics.empty()) return false;
  cursor_.finish_due = false;
  write(segment, "validation", {metrics.begin(), metrics.end()});

  const double score = selection_.score(metrics);
  const bool better = cursor_.best_step < 0 || score > cursor_.best_score;
  cursor_.validations_since_best = better ? 0 : cursor_.validations_since_best + 1;
  log_.info(where(segment, segment.streams[0].task) + ": validation " + format_metrics(metrics) +
            (better ? "  (best)" : ""));
  if (better) {
    cursor_.best_score = score;
    cursor_.best_step = cursor_.global_step;
    cursor_.best_stage = segment.stage;
    save(kBestPin);  // the last act of a segment: a resumed run starts with the next
  }
  if (segment.patience > 0 && cursor_.validations_since_best >= segment.patience) {
    log_.info("no better state in " + std::to_string(segment.patience) + " validations: training ends early");
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
    const bool ready = !for_step || next_step_ || inputs_->wait_for(kDataPatience);
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
  return {.interrupted = true};
}

/// The state is copied at once and written in the background; a failed save is thrown by the next save or at the end,
/// on all ranks.
void Trainer::save(const std::string& pin) {
  if (saved_step_ == cursor_.global_step) return;
  model_.settle([this] { before_change(); });
  supervision_.main.begin("save", cursor_.global_step, config_.run.save_deadline_s);
  supervision_.failpoints.at("save.before_snapshot");
  replicas_.compare(cursor_.global_step);
  if (metrics_) metrics_->flush();
  if (samples_) samples_->flush();
  const Store store = model_.store();
  const bool whole = checkpoints_->next_is_whole() || !touched_.known();
  TrainState saved = view_state(store);
  if (!whole) saved = touched_.changed(saved, store);
  if (whole && config_.checkpoint.whole_every > 1) touched_.remember(store);
  saved.metadata_json = to_metadata(cursor_, store, config_digest(config_));
  checkpoints_->start(cursor_.global_step, saved, pin);
  supervision_.failpoints.at("save.after_snapshot");
  saved_step_ = cursor_.global_step;
  last_save_s_ = now_s();
}

void Trainer::flush() {
  model_.flush([this] { before_change(); });
}

}  // namespace cllm
