// What a run measures and writes down.

#include "launch/run/measure_baselines.h"
#include "launch/run/restore.h"
#include "launch/run/start_print.h"
#include "launch/run/trainer.h"

namespace cllm {
namespace {

/// `metrics`, and METHOD.md §6's: every validation records these, so that runs of other selections can be compared.
MetricList with_those_of_the_method(const MetricList& metrics) {
  return Selection("recall@20+recall@40+ndcg@100").with(metrics);
}

}  // namespace

TrainOutcome Trainer::test_best() {
  if (progress_) progress_->finish();
  supervision_.failpoints.at("end.before_test");
  supervision_.main.begin("load", cursor_.global_step, config_.run.load_deadline_s);
  const BestState best = load_best(workspace_, comm_, folder_);
  if (!has(Part::kTest)) {
    log_.info("no user has a test item: not tested; the state of step " + std::to_string(best.step) + " is kept");
    if (comm_.rank() == 0) folder_.write_result({}, best.step);
    return {.tested = false, .best_step = best.step};
  }
  EvaluationResult whole;
  TrainOutcome outcome{.test = measure(Part::kTest, config_.evaluation.metric_list(), &whole), .best_step = best.step};
  outcome.intervals = std::move(whole.intervals);
  outcome.protocol = std::move(whole.protocol);
  if (outcome.test.empty()) {  // all is saved: the resumed run only does this test
    return {.interrupted = true};
  }
  const Segment& last = program_.segments().back();
  log_.info("test, state of step " + std::to_string(best.step) +
            (best.stage == last.stage ? "" : ", of stage " + program_.stages()[static_cast<size_t>(best.stage)]) +
            ": " + format_metrics(outcome.test));
  if (comm_.rank() == 0) {
    write(last, "test", {outcome.test.begin(), outcome.test.end()});
    metrics_->flush();
    folder_.write_result(outcome.test, best.step);
  }
  supervision_.main.begin("end of the run", cursor_.global_step, config_.run.deadline_s);
  supervision_.failpoints.at("end.after_test");
  return outcome;
}

void Trainer::tell_epochs(TrainOutcome& outcome) const {
  const auto until = [&](int64_t step) { return step > 0 ? program_.epochs_of(program_.segment_of(step - 1) + 1) : 0; };
  outcome.best_score = cursor_.best_score;
  outcome.best_epoch = until(cursor_.best_step);
  outcome.epochs = until(cursor_.global_step);
  outcome.epochs_of_program = program_.epochs_of(program_.segments().size());
  outcome.ended = cursor_.finished || cursor_.global_step == program_.num_steps();
}

void Trainer::add_baselines(TrainOutcome& outcome) {
  if (!model_.ranks() || !outcome.tested) return;
  supervision_.main.begin("baselines", cursor_.global_step, config_.run.deadline_s);
  EvaluationOptions options = config_.evaluation.options(Part::kTest, static_cast<uint64_t>(config_.run.seed));
  options.leave = [this] { return must_leave_evaluation(); };
  auto measured = measure_baselines(workspace_, kUsualBaselines, options);
  if (!measured) {
    outcome = {.interrupted = true};
    return;
  }
  outcome.baselines = std::move(*measured);
  supervision_.main.begin("end of the run", cursor_.global_step, config_.run.deadline_s);
}

/// Is there anything of the part to be measured?
bool Trainer::has(Part part) const { return !model_.ranks() || workspace_.corpus.num_interactions(part) > 0; }

/// Of the state that the model holds; none if the run must stop before it is done.
std::map<std::string, double> Trainer::measure(Part part, const MetricList& metrics, EvaluationResult* whole) {
  if (!model_.ranks()) return model_.held_out();
  EvaluationOptions options = config_.evaluation.options(part, static_cast<uint64_t>(config_.run.seed));
  options.metrics = part == Part::kValidation ? with_those_of_the_method(metrics) : metrics;
  options.leave = [this] { return must_leave_evaluation(); };
  // Enough for two digits of an interval; one user's draw costs a few ns.
  constexpr int64_t kResamples = 1000, kMostUsers = 1'000'000;
  if (whole != nullptr && options.bootstrap == 0 && workspace_.vocabulary().num_users <= kMostUsers)
    options.bootstrap = kResamples;
  EvaluationResult result = evaluate(model_, workspace_.corpus, comm_, options);
  if (part == Part::kTest && result.complete) log_.info("protocol   " + result.protocol);
  if (whole != nullptr) *whole = result;
  return std::move(result.values);
}

void Trainer::record(const Segment& segment, const Step& step, const StepLosses& losses) {
  cursor_.sums.add(losses.loss, losses.terms);
  if (!progress_) return;
  const int task = step.settings.ref.task;
  const std::string& name = program_.tasks()[static_cast<size_t>(task)];
  progress_->step({name, losses.loss, losses.terms, losses.num_sequences, losses.num_tokens}, where(segment, task),
                  of_segment_.brief(workspace_.limits, workspace_.device.is_cpu() || config_.log.trace));
  if (cursor_.global_step % config_.log.every_steps != 0) return;
  std::vector<std::pair<std::string, double>> values{{name + "/loss", losses.loss}};
  for (const auto& [term, value] : losses.terms) values.emplace_back(name + "/" + term, value);
  std::vector<std::pair<std::string, double>> timing = since_record_.means(workspace_.limits);
  timing.insert(timing.begin(),
                {{"sequences_per_s", progress_->sequences_per_s()}, {"tokens_per_s", progress_->tokens_per_s()}});
  since_record_ = {};
  write(segment, "step", std::move(values), std::move(timing));
}

void Trainer::write(const Segment& segment, const std::string& event,
                    std::vector<std::pair<std::string, double>> values,
                    std::vector<std::pair<std::string, double>> timing) {
  if (!metrics_) return;
  metrics_->write({cursor_.global_step, stage_name(segment), event, std::move(values), std::move(timing)});
}

std::string Trainer::where(const Segment& segment, int task) const {
  return "epoch " + std::to_string(segment.epoch + 1) + "/" + std::to_string(segment.num_epochs) + " " +
         program_.tasks()[static_cast<size_t>(task)];
}

const std::string& Trainer::stage_name(const Segment& segment) const {
  return program_.stages()[static_cast<size_t>(segment.stage)];
}

}  // namespace cllm
