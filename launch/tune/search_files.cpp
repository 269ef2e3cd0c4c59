// What a search writes and removes.

#include <cstdio>

#include "launch/config/text.h"
#include "launch/failures/agree.h"
#include "launch/failures/errors.h"
#include "launch/output/append_file.h"
#include "launch/tune/search.h"

namespace cllm {

namespace fs = std::filesystem;

void Search::save() {
  collectively(*world_, [&] {
    if (world_->rank() == 0) write_whole_file(state_file().string(), to_jsonl(state_));
  });
}

/// A trial that is done, and not the best, is never asked again.
void Search::drop_checkpoints() {
  collectively(*world_, [&] {
    if (world_->rank() != 0) return;
    const TrialRecord* const best = state_.best();
    for (const TrialRecord& record : state_.trials) {
      if (record.ended && (best == nullptr || record.trial != best->trial))
        fs::remove_all(trial_dir(record.trial) / "checkpoints");
    }
  });
}

/// The tables, and the best configuration.
void Search::tell() {
  collectively(*world_, [&] {
    if (world_->rank() != 0) return;
    write_whole_file((dir() / "trials.tsv").string(), trials_tsv(state_));
    const int64_t whole = state_.trials.empty() ? 0 : state_.trials[0].epochs_of_program;
    std::string text = "# Search for " + base_.model + " by " + base_.select() +
                       " on validation\n\nBudget: " + std::to_string(tune_.trials) + " trials of at most " +
                       std::to_string(whole) + " epochs, spent " + format_duration(state_.seconds()) +
                       "; search seed " + std::to_string(tune_.seed) + ", training seed " +
                       std::to_string(base_.run.seed) + "\n\n" + trials_markdown(state_, state_.trials.size());
    if (!state_.seeds.empty()) text += "\n" + seeds_markdown(state_);
    write_whole_file((dir() / "trials.md").string(), text);
    const TrialRecord* const best = state_.best();
    if (best == nullptr) return;
    write_whole_file((dir() / "best.toml").string(),
                     "# Trial " + std::to_string(best->trial) + " of a search (" + dir().string() +
                         "): " + base_.select() + " on validation " + std::to_string(*best->score) + " after epoch " +
                         std::to_string(best->best_epoch) + "\n" +
                         to_toml(config_with(best->values, dir() / "best", base_.run.seed)));
  });
}

void Search::present() const {
  constexpr size_t kRows = 10;
  std::printf("%s%s", trials_markdown(state_, kRows).c_str(), seeds_markdown(state_).c_str());
  const TrialRecord* const best = state_.best();
  if (best == nullptr) throw ConfigError("no trial has a score; see " + (dir() / "trials.tsv").string());
  std::printf("best: trial %lld, its run in %s; its configuration: %s\n", static_cast<long long>(best->trial),
              trial_dir(best->trial).c_str(), (dir() / "best.toml").c_str());
}

}  // namespace cllm
