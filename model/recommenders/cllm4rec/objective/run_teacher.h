#pragma once

// Any recommender as teacher: a trained run is asked by the items that a position has shown. Letters as in
// soft_labels.h, D width of the run's rows.

#include <ATen/core/Tensor.h>

#include <memory>
#include <string>
#include <vector>

#include "model/recommenders/cllm4rec/objective/teacher.h"

namespace cllm {

/// ln q = z / beta + popularity ln(n + 1/2), z the run's scores of a user outside of its corpus whose history is what
/// the position has shown, in the order of the user's training items; of a run that knows no such users, of the user
/// with that history. A position that has shown nothing has popularity alone. The run has learned from the users whom
/// it teaches: it knows the answers.
/// Every rank asks for its share of the positions. Where scores are dot products, [A, D] numbers travel and stay;
/// else lists of all items, [A, J].
class RunTeacher : public TemperedLabels {
 public:
  struct Setup {
    std::string folder;
    double beta, popularity;
  };
  /// `mine`: this rank's items. `options`: fp32 or fp64, on the device. Local.
  RunTeacher(const Corpus& corpus, std::shared_ptr<Recommender> run, Range mine, const Setup& setup,
             const at::Tensor& counts_J, const at::TensorOptions& options);

  void start(Communicator& comm, const HistoryTensors& all) override;
  at::Tensor logits(Range positions, Range rows) const override;
  std::string describe() const override;
  void set_beta(double beta) override { setup_.beta = beta, chosen_ = true; }
  /// z [b, v]; 0 where nothing was shown.
  at::Tensor scores(Range positions, Range rows) const;

 private:
  std::vector<RankingQuery> queries_of(const HistoryTensors& all, const std::vector<int64_t>& asked) const;
  at::Tensor lists_of(std::span<const RankingQuery> queries) const;

  const Corpus& corpus_;
  std::shared_ptr<Recommender> run_;
  Range mine_;
  Setup setup_;
  at::TensorOptions options_;
  bool chosen_ = false;  // beta
  bool by_user_;
  at::Tensor rows_vD_;        // undefined: scores are no dot products
  at::Tensor popularity_v_;   // power ln(n + 1/2)
  at::Tensor answers_AX_;     // X = D, or this rank's items
  int64_t last_queries_ = 0;  // of start()
  double last_seconds_ = 0;   // likewise
};

/// Opens the run; throws on all ranks alike. Collective.
std::unique_ptr<RunTeacher> make_run_teacher(const TeacherOptions& teacher, const OpenArguments& arguments, Range mine,
                                             const at::Tensor& counts_J, const at::TensorOptions& options);

}  // namespace cllm
