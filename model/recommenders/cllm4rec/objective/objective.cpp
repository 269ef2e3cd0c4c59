#include "model/recommenders/cllm4rec/objective/objective.h"

namespace cllm {

void describe(ObjectiveOptions& objective, Settings& settings) {
  SmoothingOptions& smoothing = objective.smoothing;
  const Settings own = {
      enum_setting("loss.target", &objective.target,
                   "L-steps predict the next item, or in equal parts all items of the history that are not shown yet: "
                   "the expectation of the former over the item orders",
                   {{"next", LossTarget::kNext}, {"set", LossTarget::kSet}}),
      {"loss.mask_shown", &objective.mask_shown,
       "items that a position has shown have no probability in training, as in lists"},
      {"loss.positions", &objective.positions,
       "positions of a history that L-steps train, drawn anew every epoch; 0: all", at_least(0)},
      enum_setting("loss.smoothing.kind", &smoothing.kind,
                   "targets are mixed with a distribution over the items that are not shown",
                   {{"none", SmoothingKind::kNone},
                    {"uniform", SmoothingKind::kUniform},
                    {"popularity", SmoothingKind::kPopularity}}),
      {"loss.smoothing.weight", &smoothing.weight, "its share of the target", between(0, 1)},
      {"loss.smoothing.power", &smoothing.power, "of popularity: proportional to (users of the item + 1/2)^power",
       between(0, 4)}};
  settings.insert(settings.end(), own.begin(), own.end());
}

void describe(TeacherOptions& teacher, Settings& settings) {
  const Settings own = {
      enum_setting("teacher.model", &teacher.model,
                   "whose distribution over the items that are not shown softens the targets, from the items that are; "
                   "popularity is the control of the others",
                   {{"none", TeacherModel::kNone},
                    {"popularity", TeacherModel::kPopularity},
                    {"ease", TeacherModel::kEase},
                    {"ease_text", TeacherModel::kEaseText},
                    {"item_cosine", TeacherModel::kItemCosine}}),
      enum_setting("teacher.form", &teacher.form,
                   "distill: cross-entropy with the mixture of target and teacher; tca: - ln sum of mixture times "
                   "probability (TCA4Rec)",
                   {{"distill", SoftForm::kCrossEntropy}, {"tca", SoftForm::kLogOutside}}),
      {"teacher.alpha", &teacher.alpha, "share of the teacher: about .6 for distill, .01 to .1 for tca", between(0, 1)},
      {"teacher.beta", &teacher.beta,
       "temperature of the teacher's scores; 0: the one by which it predicts validation items best", at_least(0)},
      {"teacher.popularity", &teacher.popularity, "power of popularity in its distribution", between(0, 4)},
      enum_setting("teacher.holdout", &teacher.holdout,
                   "a user's own training items are taken out of what the teacher learned from, exactly, or not: then "
                   "it knows the answers",
                   {{"leave_one_out", TeacherHoldout::kLeaveOneOut}, {"none", TeacherHoldout::kNone}}),
      {"teacher.lambda", &teacher.ridge, "ridge of ease; of ease_text lambda_x + lambda_e together", at_least(1e-6)},
      {"teacher.lambda_f", &teacher.text_ridge, "ridge of the weights between texts of ease_text", at_least(1e-6)},
      {"teacher.lambda_e", &teacher.text_pull, "how strongly ease_text is drawn to them; at most teacher.lambda",
       at_least(0)}};
  settings.insert(settings.end(), own.begin(), own.end());
}

std::string ObjectiveOptions::problem() const {
  if (smoothing.kind != SmoothingKind::kNone && teacher.model != TeacherModel::kNone) {
    return "loss.smoothing.kind and teacher.model both soften the targets: set one of them to \"none\" "
           "(teacher.popularity mixes popularity into a teacher)";
  }
  if (teacher.model == TeacherModel::kEaseText && teacher.text_pull > teacher.ridge) {
    return "teacher.lambda is lambda_x + lambda_e, but below teacher.lambda_e: raise it, or lower teacher.lambda_e";
  }
  return "";
}

}  // namespace cllm
