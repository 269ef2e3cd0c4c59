#include "model/recommenders/cllm4rec/objective/objective.h"

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

namespace cllm {
namespace {

constexpr std::string_view kFolds = "folds:";
constexpr int64_t kMostFolds = 64;

const std::vector<std::pair<std::string, TeacherModel>> kTeachers{{"none", TeacherModel::kNone},
                                                                  {"popularity", TeacherModel::kPopularity},
                                                                  {"ease", TeacherModel::kEase},
                                                                  {"ease_text", TeacherModel::kEaseText},
                                                                  {"item_cosine", TeacherModel::kItemCosine}};

/// One of the names, or a run folder, whose path becomes absolute. No list of choices: any text may be a path.
Setting teacher_model(TeacherOptions& teacher) {
  const auto get = [&teacher] {
    for (const auto& [name, model] : kTeachers) {
      if (model == teacher.model) return name;
    }
    return teacher.run;
  };
  const auto set = [&teacher](const std::string& wanted) {
    teacher.run.clear();
    for (const auto& [name, model] : kTeachers) {
      if (name == wanted) return static_cast<void>(teacher.model = model);
    }
    teacher.model = TeacherModel::kRun;
    teacher.run = std::filesystem::absolute(wanted).lexically_normal().string();
  };
  return {"teacher.model", Named{get, set},
          "whose distribution over the items that are not shown softens the targets, from the items that are: none | "
          "popularity | ease | ease_text | item_cosine, or the folder of a run of any recommender on the same corpus; "
          "popularity is the control of the others"};
}

/// leave_one_out | folds:N | none.
Setting teacher_holdout(TeacherOptions& teacher) {
  const auto get = [&teacher]() -> std::string {
    if (!teacher.unknown_holdout.empty()) return teacher.unknown_holdout;
    if (teacher.holdout == TeacherHoldout::kFolds) return "folds:" + std::to_string(teacher.folds);
    return teacher.holdout == TeacherHoldout::kNone ? "none" : "leave_one_out";
  };
  const auto set = [&teacher](const std::string& wanted) {
    teacher.folds = 1;
    teacher.unknown_holdout.clear();
    if (wanted == "leave_one_out" || wanted == "none") {
      teacher.holdout = wanted == "none" ? TeacherHoldout::kNone : TeacherHoldout::kLeaveOneOut;
      return;
    }
    teacher.holdout = TeacherHoldout::kFolds;
    const std::string_view number = std::string_view(wanted).substr(std::min(wanted.size(), kFolds.size()));
    const auto [end, error] = std::from_chars(number.data(), number.data() + number.size(), teacher.folds);
    const bool known = wanted.starts_with(kFolds) && error == std::errc() && end == number.data() + number.size();
    if (!known || teacher.folds < 2 || teacher.folds > kMostFolds) teacher.unknown_holdout = wanted;
  };
  return {
      "teacher.holdout", Named{get, set},
      "a user's own training items are taken out of what the teacher learned from: exactly (leave_one_out), or with "
      "those of a part of the users, 1 / N of them, for whom it is fitted without them (folds:N), or not, and then "
      "it knows the answers (none)"};
}

}  // namespace

double TeacherOptions::alpha_at(int64_t epoch, int64_t epochs) const {
  if (!alpha_end || epochs < 2) return alpha;
  return alpha + (*alpha_end - alpha) * static_cast<double>(epoch) / static_cast<double>(epochs - 1);
}

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
      enum_setting("loss.label_weight", &objective.label_weight,
                   "what weighs alike in L-steps: every position, or every user, whose positions share its weight",
                   {{"position", LabelWeight::kPosition}, {"user", LabelWeight::kUser}}),
      enum_setting("loss.smoothing.kind", &smoothing.kind,
                   "targets are mixed with a distribution over the items that are not shown",
                   {{"none", SmoothingKind::kNone},
                    {"uniform", SmoothingKind::kUniform},
                    {"popularity", SmoothingKind::kPopularity}}),
      {"loss.smoothing.weight", &smoothing.weight, "its share of the target", between(0, 1)},
      {"loss.smoothing.power", &smoothing.power, "of popularity: proportional to (users of the item + 1/2)^power",
       between(0, 4)},
      {"loss.uniformity.weight", &objective.contrast.uniformity,
       "of a term of L-steps by which hidden states of different users, and rows of different items, of an update keep "
       "apart on the sphere; 0: none",
       at_least(0)},
      {"loss.contrastive.weight", &objective.contrast.contrastive,
       "of a term of L-steps: cosine softmax of the next item against those of all positions of the update; 0: none",
       at_least(0)},
      {"loss.contrastive.temperature", &objective.contrast.temperature, "of its cosines", between(0.01, 10)}};
  settings.insert(settings.end(), own.begin(), own.end());
}

void describe(TeacherOptions& teacher, Settings& settings) {
  const Settings own = {
      teacher_model(teacher),
      enum_setting("teacher.form", &teacher.form,
                   "distill: cross-entropy with the mixture of target and teacher; tca: - ln sum of mixture times "
                   "probability (TCA4Rec)",
                   {{"distill", SoftForm::kCrossEntropy}, {"tca", SoftForm::kLogOutside}}),
      {"teacher.alpha", &teacher.alpha, "share of the teacher: about .6 for distill, .01 to .1 for tca", between(0, 1)},
      {"teacher.alpha_end", &teacher.alpha_end,
       "the same in the last epoch of a stage, from alpha on a straight line over the epochs; unset: alpha throughout",
       between(0, 1)},
      {"teacher.beta", &teacher.beta,
       "temperature of the teacher's scores; 0: the one by which it predicts validation items best", at_least(0)},
      {"teacher.popularity", &teacher.popularity, "power of popularity in its distribution", between(0, 4)},
      teacher_holdout(teacher),
      {"teacher.top", &teacher.top,
       "weights of each item that a teacher keeps, those of the largest size: J times as many numbers instead of J^2; "
       "0: all",
       at_least(0)},
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
  if (teacher.model == TeacherModel::kRun && teacher.holdout != TeacherHoldout::kNone) {
    std::string names;
    for (const auto& [name, model] : kTeachers) names += (names.empty() ? "" : " | ") + name;
    return "teacher.model = \"" + teacher.run + "\" is none of " + names +
           ", so it is taken for the folder of a run, which cannot be fitted without each user: correct the name, or "
           "set "
           "teacher.holdout = \"none\", with which the teacher has seen the histories that it teaches";
  }
  if (!teacher.unknown_holdout.empty()) {
    return "teacher.holdout = \"" + teacher.unknown_holdout +
           "\" is none of leave_one_out | none | folds:N, N from 2 to " + std::to_string(kMostFolds);
  }
  if (teacher.top > 0 && (teacher.model == TeacherModel::kNone || teacher.model == TeacherModel::kPopularity ||
                          teacher.model == TeacherModel::kRun)) {
    return "teacher.top keeps the largest weights between items, of which teacher.model = \"" +
           (teacher.model == TeacherModel::kRun    ? teacher.run
            : teacher.model == TeacherModel::kNone ? "none"
                                                   : "popularity") +
           "\" has none: set teacher.top = 0, or ease | ease_text | item_cosine";
  }
  if (teacher.top > 0 && teacher.holdout == TeacherHoldout::kLeaveOneOut) {
    return "teacher.top = " + std::to_string(teacher.top) +
           " leaves out weights that teacher.holdout = \"leave_one_out\" needs: set \"folds:N\" or \"none\", or "
           "teacher.top = 0";
  }
  if (teacher.alpha_end && teacher.model == TeacherModel::kNone) {
    return "teacher.alpha_end is the last share of a teacher, but teacher.model is \"none\": set the one or leave out "
           "the other";
  }
  if (teacher.model == TeacherModel::kEaseText && teacher.text_pull > teacher.ridge) {
    return "teacher.lambda is lambda_x + lambda_e, but below teacher.lambda_e: raise it, or lower teacher.lambda_e";
  }
  return "";
}

}  // namespace cllm
