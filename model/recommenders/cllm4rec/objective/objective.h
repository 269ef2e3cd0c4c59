#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "data/settings.h"
#include "model/losses/contrast.h"
#include "model/losses/soft_labels.h"

namespace cllm {

enum class LossTarget { kNext, kSet };
enum class SmoothingKind { kNone, kUniform, kPopularity };
/// kRun: a run of any recommender on the same corpus.
enum class TeacherModel { kNone, kPopularity, kEase, kEaseText, kItemCosine, kRun };
/// kFolds: a user is taught by a model of the users of the other folds.
enum class TeacherHoldout { kLeaveOneOut, kFolds, kNone };

/// What weighs alike in an L-step: every position, or every user, whose positions share its weight.
enum class LabelWeight { kPosition, kUser };

/// Targets of an item step softened by a distribution that knows no user: q proportional to (n_j + 1/2)^power.
struct SmoothingOptions {
  SmoothingKind kind = SmoothingKind::kNone;
  double weight = 0.6;
  double power = 0.6;
};

/// Targets softened by a model of the shown items: q proportional to e^(z_j / beta) (n_j + 1/2)^popularity.
struct TeacherOptions {
  TeacherModel model = TeacherModel::kNone;
  std::string run = {};  // its folder, absolute
  SoftForm form = SoftForm::kCrossEntropy;
  double alpha = 0.6;
  std::optional<double> alpha_end = {};  // in the last epoch of a stage, from alpha on a line; unset: alpha
  double beta = 0;
  double popularity = 0.6;
  TeacherHoldout holdout = TeacherHoldout::kLeaveOneOut;
  int64_t folds = 1;                       // of kFolds
  std::string unknown_holdout = {};        // what teacher.holdout was set to, if it is none
  int64_t top = 0;                         // weights of an item that are kept; 0: all
  double ridge = 200;                      // of ease_text lambda_x + lambda_e
  double text_ridge = 5, text_pull = 150;  // lambda_f and lambda_e of ease_text

  /// In epoch `epoch` of `epochs`.
  double alpha_at(int64_t epoch, int64_t epochs) const;
};

/// What L- and finetuning steps predict beyond METHOD.md §5; the defaults are the paper's next item.
struct ObjectiveOptions {
  LossTarget target = LossTarget::kNext;  // of L-steps
  bool mask_shown = false;
  int64_t positions = 0;  // of a history in an L-step; 0: all
  SmoothingOptions smoothing;
  TeacherOptions teacher;
  LabelWeight label_weight = LabelWeight::kPosition;
  ContrastOptions contrast;  // of L-steps

  /// A dense distribution is mixed in.
  bool has_labels() const { return smoothing.kind != SmoothingKind::kNone || teacher.model != TeacherModel::kNone; }
  /// Steps compute by soft_item_softmax().
  bool is_soft() const { return target == LossTarget::kSet || mask_shown || has_labels(); }
  /// What does not go together, or "".
  std::string problem() const;
};

/// The keys of [loss] and [teacher] that set it.
void describe(ObjectiveOptions& objective, Settings& settings);
void describe(TeacherOptions& teacher, Settings& settings);

}  // namespace cllm
