#include "model/recommenders/cllm4rec/options.h"

namespace cllm {

std::vector<SearchKey> Cllm4recOptions::search_space() const {
  std::vector<SearchKey> out{{.key = "dropout.embedding", .min = 0, .max = 0.6},
                             {.key = "dropout.residual", .min = 0, .max = 0.4},
                             {.key = "loss.group_size", .choices = {"10", "20", "40"}}};
  if (mutual.epochs > 0) out.push_back({.key = "mutual.learning_rate", .min = 5e-4, .max = 1e-2, .log = true});
  if (finetune.epochs > 0) out.push_back({.key = "finetune.learning_rate", .min = 1e-5, .max = 1e-3, .log = true});
  const bool regularised = lambda_collaborative > 0 || lambda_content > 0 || lambda_finetune > 0;
  if (regularised) out.push_back({.key = "loss.lambda", .min = 0.01, .max = 10, .log = true});
  if (objective.smoothing.kind != SmoothingKind::kNone)
    out.push_back({.key = "loss.smoothing.weight", .min = 0.1, .max = 0.9});
  if (objective.smoothing.kind == SmoothingKind::kPopularity)
    out.push_back({.key = "loss.smoothing.power", .min = 0, .max = 1});
  if (objective.teacher.model == TeacherModel::kNone) return out;
  const bool inside = objective.teacher.form == SoftForm::kCrossEntropy;
  out.push_back(inside ? SearchKey{.key = "teacher.alpha", .min = 0.1, .max = 0.9}
                       : SearchKey{.key = "teacher.alpha", .min = 0.01, .max = 0.3, .log = true});
  out.push_back({.key = "teacher.popularity", .min = 0, .max = 1});
  return out;
}

}  // namespace cllm
