#include "launch/supervision/run_control.h"

#include <algorithm>
#include <utility>

#include "launch/failures/agree.h"
#include "launch/failures/exit_codes.h"
#include "launch/supervision/stop_signal.h"

namespace cllm {

RunControl::RunControl(Communicator& comm, Log& log, Supervision& supervision, int64_t state_bytes)
    : comm_(comm), log_(log), supervision_(supervision), reserve_(state_bytes) {}

void RunControl::step_done(double took_s, double waited_s, int64_t num_tokens, NonFinite non_finite) {
  reserve_.step_took(took_s);
  work_ = {work_.own_s + took_s - waited_s, static_cast<double>(num_tokens)};
  non_finite_ = non_finite;
  stepped_ = true;
}

Decision RunControl::meet(int64_t step, CheckpointWriter& writer, bool save_due,
                          const std::function<bool()>& data_ready) {
  RankReport mine = report(writer);
  mine.save_due = save_due;
  if (std::exchange(stepped_, false)) mine.work = std::exchange(work_, {});
  const double begin_s = Activity::now_s();
  mine.data_ready = data_ready();
  work_.own_s += Activity::now_s() - begin_s;  // of the next step: slow data make a slow rank
  const std::vector<RankReport> reports = exchange(comm_, mine);
  refuse_non_finite(reports, step);
  if (any_save_failed(reports)) writer.finish();  // throws, on all ranks
  name_straggler(reports, step);
  return {agreed_to_stop(reports, step), reports[0].save_due, all_data_ready(reports)};
}

bool RunControl::must_stop(int64_t step, CheckpointWriter& writer) {
  return agreed_to_stop(exchange(comm_, report(writer)), step);
}

RankReport RunControl::report(const CheckpointWriter& writer) {
  if (writer.longest_s() > 0) reserve_.save_took(writer.longest_s());
  RankReport mine;
  mine.signal = StopSignal::received();
  mine.save_failed = writer.failed();
  mine.non_finite = non_finite_;
  mine.time_is_up = supervision_.limit.left_s() < reserve_.seconds(!writer.idle());
  return mine;
}

bool RunControl::agreed_to_stop(std::span<const RankReport> reports, int64_t step) {
  const std::string reason = stop_reason(reports);
  if (!reason.empty()) log_.info(reason + ": saving after step " + std::to_string(step));
  return !reason.empty();
}

void RunControl::refuse_non_finite(std::span<const RankReport> reports, int64_t step) {
  const std::string place = non_finite_place(reports);
  if (place.empty()) return;
  const std::string line = "step " + std::to_string(step) + ": " + place +
                           ": a value is not finite, so the state is not saved; lower the stage's "
                           "learning_rate and start again from the last checkpoint";
  throw AgreedFailure(kBadConfiguration, comm_.rank() == 0 ? line : "");
}

void RunControl::name_straggler(std::span<const RankReport> reports, int64_t step) {
  std::vector<RankWork> work;
  for (const RankReport& report : reports) work.push_back(report.work);
  if (std::ranges::all_of(work, [](const RankWork& done) { return done.tokens == 0; }))
    return;  // no step since the last meeting
  const auto slow = stragglers_.add(work);
  if (!slow || comm_.rank() != 0) return;
  log_.warn("rank " + std::to_string(slow->rank) + " is slow: " + std::to_string(slow->factor).substr(0, 4) +
            " times the others' time per step outside of waits, at step " + std::to_string(step));
}

}  // namespace cllm
