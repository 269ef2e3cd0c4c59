#include "launch/run/start_choices.h"

#include <cstdlib>

namespace cllm {

std::string describe_choices(const Workspace& workspace) {
  const Corpus& corpus = workspace.corpus;
  const EvaluationSettings& evaluation = workspace.config.evaluation;
  std::string out;
  if (!workspace.model->ranks()) return out;
  if (corpus.num_interactions(Part::kValidation) == 0)
    out += "validation no user has a validation item: nothing can choose a state, the last one is kept\n";
  if (corpus.num_interactions(Part::kTest) == 0) {
    out += "test       no user has a test item: the run will not be tested\n";
  } else {
    const bool fed_all = evaluation.history_at_test == HistoryMode::kTrainAndValidation;
    out += std::string("test       lists leave out ") +
           (evaluation.mask == Mask::kNone               ? "nothing (evaluation.mask = none)"
            : evaluation.mask == Mask::kKnown || fed_all ? "training and validation items"
            : corpus.num_interactions(Part::kValidation) == 0
                ? "training items"
                : "training items only (evaluation.mask = known: also those of validation, as most papers do)") +
           "\n";
  }
  if (!corpus.has_times())
    out += "times      the corpus has none: histories are in the order of the file, the last item is the last there\n";
  return out;
}

std::string lonely_rank(int world_size) {
  if (world_size > 1) return "";
  for (const char* name : {"SLURM_NTASKS", "SLURM_STEP_NUM_TASKS", "PBS_NP", "LSB_DJOB_NUMPROC"}) {
    const char* const value = std::getenv(name);
    const long tasks = value == nullptr ? 1 : std::strtol(value, nullptr, 10);
    if (tasks > 1)
      return std::string(name) + " is " + value +
             ", but this is one rank by itself: start it with srun or mpirun, or each task trains alone";
  }
  return "";
}

}  // namespace cllm
