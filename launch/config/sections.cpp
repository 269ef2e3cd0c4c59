#include "launch/config/sections.h"

namespace cllm {
namespace {

void append(Settings& settings, const Settings& more) { settings.insert(settings.end(), more.begin(), more.end()); }

}  // namespace

void describe(RunSection& run, Settings& settings) {
  append(
      settings,
      {{"run.dir",
        &run.dir,
        "folder of this run's outputs; training continues from its newest checkpoint",
        {},
        true,
        false},
       {"run.corpus", &run.corpus, "corpus folder made by `cllm4rec prepare`", {}, true, false},
       {"run.seed", &run.seed, "every random choice is a function of it", at_least(0)},
       {"run.device", &run.device, "where ranks compute; --device=cuda is short for it", one_of({"cpu", "cuda"}), false,
        false},
       {"run.precision", &run.precision, "of the backbone: fp32 or bf16; fp64: of everything",
        one_of({"fp32", "bf16", "fp64"})},
       {"run.table_precision", &run.table_precision,
        "bf16: rows are kept and travel in bf16, their updates are rounded stochastically; full: fp32 (fp64 with that "
        "run.precision)",
        one_of({"full", "bf16"})},
       {"run.ranks_per_node", &run.ranks_per_node,
        "rows travel in two levels: inside nodes of so many ranks, then once per node between them; 0: in one level",
        between(0, 4096), false, false},
       {"run.fetch_ahead",
        &run.fetch_ahead,
        "rows of the next step travel beneath this one, gradients beneath the next; same results; the default of a GPU "
        "run",
        {},
        false,
        false},
       {"run.user_tables", &run.user_tables,
        "where rows of users are on a GPU run; host: in memory of the host, which the GPU reads and updates over its "
        "bus",
        one_of({"device", "host"}), false, false},
       {"run.threads", &run.threads, "compute threads of a rank; 0: OMP_NUM_THREADS, else cores / ranks of the host",
        between(0, 4096), false, false},
       {"run.deadline_s", &run.deadline_s,
        "seconds after which a step, or a block of a validation, counts as hung; 0: never", at_least(0), false, false},
       {"run.startup_deadline_s", &run.startup_deadline_s, "the same for opening corpus and backbone", at_least(0),
        false, false},
       {"run.load_deadline_s", &run.load_deadline_s, "the same for finding and loading a checkpoint", at_least(0),
        false, false},
       {"run.save_deadline_s", &run.save_deadline_s, "the same for a save", at_least(0), false, false},
       {"run.max_restarts", &run.max_restarts,
        "restarts without a new checkpoint before the run refuses to start (exit code 78); 0: no limit", at_least(0),
        false, false},
       {"run.replica_check_steps", &run.replica_check_steps,
        "steps between comparisons of what all ranks hold alike (the backbone, its optimiser's state); also before "
        "every save; 0: "
        "never",
        at_least(0), false, false}});
}

void describe(InitSection& init, Settings& settings) {
  append(
      settings,
      {{"init.run", &init.run,
        "start from the best state of another run: rows by raw id if its corpus is another, e.g. one that this one "
        "extends"},
       {"init.new_rows", &init.new_rows,
        "rows of users and items that the corpus of init.run has not: mean (of its rows) or own (as a new run starts "
        "them: at random, or from texts)",
        one_of({"mean", "own"})}});
}

void describe(DataSection& data, Settings& settings) {
  append(settings,
         {{"data.only", &data.only,
           "new: epochs over the users with interactions (and the texts) that the corpus has and the one that "
           "it extends has not (prepare --extend)",
           one_of({"all", "new"})}});
}

void describe(CheckpointSection& checkpoint, Settings& settings) {
  append(settings,
         {{"checkpoint.every_steps", &checkpoint.every_steps, "steps between checkpoints; 0: not by steps", at_least(0),
           false, false},
          {"checkpoint.every_seconds", &checkpoint.every_seconds, "seconds between checkpoints; 0: not by time",
           at_least(0), false, false},
          {"checkpoint.keep", &checkpoint.keep, "newest checkpoints that stay, besides the best one and milestones",
           at_least(2), false, false},
          {"checkpoint.milestone_steps", &checkpoint.milestone_steps,
           "a checkpoint every so many steps that stays for ever; 0: none", at_least(0), false, false},
          {"checkpoint.whole_every", &checkpoint.whole_every,
           "every n-th checkpoint is whole, those between hold the rows changed since; 1: all whole", at_least(1),
           false, false},
          {"checkpoint.verify", &checkpoint.verify,
           "at start: every byte of the newest checkpoint, or manifest, sizes and the blocks that are loaded; "
           "--verify=quick is "
           "short for it",
           one_of({"full", "quick"}), false, false}});
}

void describe(LogSection& log, Settings& settings) {
  append(
      settings,
      {{"log.every_steps", &log.every_steps, "steps between records of the loss", at_least(1), false, false},
       {"log.tensorboard", &log.tensorboard, "write TensorBoard event files to <dir>/tensorboard", {}, false, false},
       {"log.jsonl", &log.jsonl, "write <dir>/metrics.jsonl", {}, false, false},
       {"log.report", &log.report, "write <dir>/report.html at the end", {}, false, false},
       {"log.mlflow", &log.mlflow, "tracking URI that launch/publish sends the run to", {}, false, false},
       {"log.samples", &log.samples, "write <dir>/samples.txt, the keys of every step's sequences", {}, false, false},
       {"log.trace",
        &log.trace,
        "a table of the time of a step's phases after every epoch, and NVTX ranges; a GPU waits at each",
        {},
        false,
        false}});
}

}  // namespace cllm
