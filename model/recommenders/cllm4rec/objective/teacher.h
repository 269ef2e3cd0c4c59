#pragma once

// Linear models as teachers: their scores of every prefix of a history are sums of rows, exact for every order. Letters
// as in soft_labels.h, J_r items of this rank.

#include <ATen/core/Tensor.h>

#include <memory>
#include <vector>

#include "data/corpus/corpus.h"
#include "dist/row_partition.h"
#include "model/losses/soft_labels.h"
#include "model/recommenders/cllm4rec/objective/objective.h"
#include "model/recommenders/closed_form/gram.h"
#include "model/recommenders/registry.h"

namespace cllm {

/// power ln(n + 1/2), in the form of `options`.
at::Tensor log_popularity(const at::Tensor& counts, double power, const at::TensorOptions& options);

/// Users of the training part that have each item, without those of a fold: fp64 [J] on the host. Local.
at::Tensor item_counts(const Corpus& corpus, UserFold without = {});

/// ln q = power ln(n + 1/2) at all positions.
class PopularityLabels : public SoftLabels {
 public:
  /// `counts_v`: n of this rank's items. `options`: fp32 or fp64, on the device.
  PopularityLabels(const at::Tensor& counts_v, double power, const at::TensorOptions& options);
  void start(Communicator&, const HistoryTensors&) override {}
  at::Tensor logits(Range positions, Range rows) const override;

 private:
  at::Tensor base_v_;
};

/// A distribution with a temperature that can be found.
class TemperedLabels : public SoftLabels {
 public:
  /// Another one than the options', found for this corpus.
  virtual void set_beta(double beta) = 0;
};

/// ln q = z / beta + popularity ln(n + 1/2), z the scores of an item-item model given the items S that a position has
/// shown, which are training items of its user. With x the user's row of X [I, J]:
///   ease         P = (X^T X + lambda)^-1, z_j = - sum_S P_ij / P_jj. Without x, P is P + (P x^T)(x P) / (1 - x P x^T)
///                (Sherman-Morrison), so that (x P) is all that a user's own model takes.
///   ease_text    with M = P C, C the weights between texts (closed_form/ease_text.h) and lambda_e their pull:
///                z_j = lambda_e sum_S M_ij - (1 + lambda_e M_jj) / P_jj sum_S P_ij. Without x, M is
///                M + (P x^T)(x M) / (1 - x P x^T), since no user is in C.
///   item_cosine  G = X^T X, z_j = sum_S G_ij / sqrt(G_ii G_jj). Without x: of G_ij - x_i x_j.
class LinearTeacher : public TemperedLabels {
 public:
  struct Setup {
    TeacherModel model;
    bool leave_one_out;
    double beta, popularity;
    double text_pull = 0;  // lambda_e
  };
  /// The columns of this rank's items, fp32 or fp64 on the device.
  struct Columns {
    at::Tensor model_Jv;       // of P or G
    at::Tensor texts_Jv = {};  // of M; ease_text only
  };
  /// `counts_J`: of all items, by the users that `columns` are of. Collective.
  LinearTeacher(const Corpus& corpus, Communicator& comm, int64_t first_item, const Setup& setup, Columns columns,
                const at::Tensor& counts_J);

  void start(Communicator& comm, const HistoryTensors& all) override;
  at::Tensor logits(Range positions, Range rows) const override;
  std::string describe() const override;
  /// z [b, v], sums of rows in the order in which they are shown.
  at::Tensor scores(Range positions, Range rows) const;
  void set_beta(double beta) override { setup_.beta = beta, chosen_ = true; }

 private:
  /// Sums of rows of P or G, and of M (ease_text).
  struct Sums {
    at::Tensor of_model, of_texts;
  };
  bool is_inverse() const { return setup_.model != TeacherModel::kItemCosine; }
  bool has_texts() const { return columns_.texts_Jv.defined(); }
  void learn_own_parts(Communicator& comm);
  void find_own_parts();
  at::Tensor row_of_user(const at::Tensor& columns_Jv, int64_t user) const;
  at::Tensor sums_of_rows(const at::Tensor& columns_Jv, Range positions, Range rows) const;
  at::Tensor own_sums(Range positions) const;
  at::Tensor score(const Sums& sums_kv, const at::Tensor& own_k, int64_t sequence, Range rows) const;

  const Corpus& corpus_;
  int64_t first_item_;
  Setup setup_;
  bool chosen_ = false;  // beta
  Columns columns_;
  at::Tensor diagonal_v_, text_diagonal_v_, popularity_v_;
  std::vector<double> item_weights_J_;  // of a row in the sum
  // Of all users, of a model with P and of which the own row is left out: x P at their training items, in the order of
  // the corpus, and 1 - x P x^T.
  std::vector<int64_t> own_offsets_;
  std::vector<double> own_of_user_, denominator_of_user_;
  HistoryTensors now_;
  Sums user_rows_Bv_;                 // x P or x, and x M, of a sequence's user. Undefined: nothing is left out
  at::Tensor own_M_, denominator_B_;  // host, fp64: what a shown item adds to the user's part; 1 - x P x^T
};

/// The distribution that an objective mixes in; null: none. Collective; throws on all ranks alike.
std::unique_ptr<SoftLabels> make_soft_labels(const ObjectiveOptions& objective, const OpenArguments& arguments);

}  // namespace cllm
