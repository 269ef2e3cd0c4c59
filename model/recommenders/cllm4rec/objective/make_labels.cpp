#include <ATen/TensorOperators.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/full.h>
#include <ATen/ops/logaddexp.h>
#include <ATen/ops/logsumexp.h>
#include <ATen/ops/mm.h>
#include <ATen/ops/zeros.h>

#include <cmath>
#include <cstdio>
#include <optional>

#include "model/errors.h"
#include "model/recommenders/cllm4rec/objective/folded_teacher.h"
#include "model/recommenders/cllm4rec/objective/run_teacher.h"
#include "model/recommenders/cllm4rec/objective/sparse_teacher.h"
#include "model/recommenders/cllm4rec/objective/teacher.h"
#include "model/recommenders/closed_form/ease.h"
#include "model/recommenders/closed_form/ease_text.h"
#include "model/recommenders/closed_form/gram.h"
#include "model/recommenders/closed_form/memory.h"

namespace cllm {
namespace {

/// The rows of this rank's items of G, or of P, which are symmetric; [J_r, J] on the host.
at::Tensor gram_rows(const OpenArguments& arguments, const RowPartition& items, int rank, at::ScalarType dtype,
                     UserFold without) {
  const int64_t J = items.num_rows(), first = items.begin(rank);
  at::Tensor rows = at::zeros({items.size(rank), J}, at::kDouble);
  arguments.agreed([&] {
    const ItemUsers users(arguments.corpus, first, items.end(rank), without);
    for (int64_t n = 0; n < rows.size(0); ++n)
      add_gram_row(arguments.corpus, users, first + n,
                   {rows.mutable_data_ptr<double>() + n * J, static_cast<size_t>(J)});
  });
  return rows.to(dtype);
}

/// Weights between items [J, J] on rank 0, [0, J] elsewhere, fitted without a fold; `C` as below. Row i is what item i
/// tells; the diagonal is not used. Collective.
at::Tensor weights_between_items(const TeacherOptions& teacher, const OpenArguments& arguments, Communicator& comm,
                                 const RowPartition& items, at::ScalarType dtype, const at::Tensor& C,
                                 UserFold without) {
  if (teacher.model == TeacherModel::kItemCosine) {
    std::optional<ItemUsers> users;
    arguments.agreed(
        [&] { users.emplace(arguments.corpus, items.begin(comm.rank()), items.end(comm.rank()), without); });
    const at::Tensor G = gather_on_first_rank(
        comm, items, [&](int64_t item, std::span<double> row) { add_gram_row(arguments.corpus, *users, item, row); });
    if (comm.rank() != 0) return G.to(dtype);
    const at::Tensor root = G.diagonal().clamp_min(1).sqrt();
    return (G / root / root.unsqueeze(1)).to(dtype);
  }
  at::Tensor P = inverse_gram(arguments.corpus, comm, items, teacher.ridge, arguments.agreed, without).to(dtype);
  if (comm.rank() != 0) return P;
  const at::Tensor diagonal = P.diagonal().clone();
  if (!C.defined()) return P.div_(diagonal).neg_();
  at::Tensor M = at::mm(P, C);
  const at::Tensor gamma = (M.diagonal() * teacher.text_pull + 1) / diagonal;
  return M.mul_(teacher.text_pull).sub_(P.mul_(gamma));
}

/// The teacher whose items keep their largest weights. Collective.
std::unique_ptr<TemperedLabels> sparse_teacher(const TeacherOptions& teacher, const OpenArguments& arguments,
                                               Communicator& comm, const RowPartition& items,
                                               const at::TensorOptions& options, const at::Tensor& C,
                                               UserFold without) {
  const at::ScalarType dtype = options.dtype().toScalarType();
  at::Tensor B = weights_between_items(teacher, arguments, comm, items, dtype, C, without);
  if (comm.rank() == 0) B = keep_largest(std::move(B), teacher.top);
  at::Tensor rows = at::empty({items.size(comm.rank()), items.num_rows()}, dtype);
  hand_out_rows(
      comm, items, [&](int64_t first, int64_t n) { return B.narrow(1, first, n).t().contiguous(); }, rows);
  return std::make_unique<SparseTeacher>(
      rows.t().contiguous(), SparseTeacher::Setup{teacher.top, teacher.beta, teacher.popularity},
      item_counts(arguments.corpus, without).narrow(0, items.begin(comm.rank()), items.size(comm.rank())), options);
}

/// The columns of this rank's items; matrices are in memory on rank 0 alone, at most three of them. `C`: weights
/// between texts on rank 0, of ease_text.
LinearTeacher::Columns columns_of(const TeacherOptions& teacher, const OpenArguments& arguments, Communicator& comm,
                                  const RowPartition& items, at::ScalarType dtype, const at::Tensor& C,
                                  UserFold without) {
  const int rank = comm.rank();
  const auto to_device = [&](const at::Tensor& rows) { return rows.t().contiguous().to(arguments.device); };
  if (teacher.model == TeacherModel::kItemCosine) return {to_device(gram_rows(arguments, items, rank, dtype, without))};
  const at::Tensor P = inverse_gram(arguments.corpus, comm, items, teacher.ridge, arguments.agreed, without).to(dtype);
  at::Tensor rows = at::empty({items.size(rank), items.num_rows()}, dtype);
  hand_out_rows(
      comm, items, [&](int64_t first, int64_t n) { return P.narrow(0, first, n); }, rows);
  LinearTeacher::Columns out{to_device(rows)};
  if (!C.defined()) return out;
  hand_out_rows(
      comm, items, [&](int64_t first, int64_t n) { return at::mm(C.narrow(1, first, n).t(), P); }, rows);
  out.texts_Jv = to_device(rows);
  return out;
}

/// Throws on all ranks alike before anything large is made. Collective.
void require_memory_of(const TeacherOptions& teacher, const OpenArguments& arguments, Communicator& comm,
                       const RowPartition& items, int64_t bytes_of_number) {
  const bool cosine = teacher.model == TeacherModel::kItemCosine, texts = teacher.model == TeacherModel::kEaseText;
  const bool sparse = teacher.top > 0;
  const int64_t J = items.num_rows(), matrices = cosine ? (sparse ? 3 : 0) : texts ? 3 : 2;
  const int64_t of_first = comm.rank() == 0 ? matrices * 8 * J * J + 8 * std::min(kRowsInFlight, J) * J : 0;
  const int64_t kept = sparse ? 2 : (texts ? 2 : 1) * teacher.folds;  // matrices that all ranks share
  const int64_t of_row = (kept + 1) * bytes_of_number + (cosine && !sparse ? 8 : 0);
  const int64_t of_entries = teacher.folds * J * std::min(teacher.top, J) * (bytes_of_number + 16) / comm.world_size();
  const int64_t of_users =
      of_entries + 8 * (arguments.corpus.num_interactions(Part::kTrain) + 2 * arguments.corpus.vocabulary().num_users);
  const std::string here =
      "J^2 / R for the rows of each rank" + std::string(teacher.folds > 1 && !sparse ? ", once a fold" : "");
  require_memory(
      arguments, comm,
      {"teacher", J, (cosine && !sparse ? 0 : of_first + of_users) + of_row * items.size(comm.rank()) * J, 0,
       matrices == 0 ? here : std::to_string(matrices) + " J x J matrices of 8-byte numbers on rank 0 and " + here,
       "keep fewer items (prepare --k-core) or take teacher.model = \"popularity\""});
}

/// Users with validation items and their training histories, all of which is shown.
struct Sample {
  HistoryLists lists;
  std::vector<int64_t> position, item;  // of every validation item
};

Sample validation_sample(const Corpus& corpus) {
  constexpr int64_t kUsers = 1024;
  Sample out;
  out.lists.offsets = {0};
  for (int64_t user = 0; user < corpus.vocabulary().num_users && std::ssize(out.lists.users) < kUsers; ++user) {
    const auto history = corpus.items(user, Part::kTrain), held_out = corpus.items(user, Part::kValidation);
    if (history.empty() || held_out.empty()) continue;
    for (const int32_t item : held_out) {
      out.position.push_back(std::ssize(out.lists.users));
      out.item.push_back(item);
    }
    out.lists.sequence.push_back(std::ssize(out.lists.users));
    out.lists.shown.push_back(std::ssize(history));
    out.lists.rest_weight.push_back(0);
    out.lists.users.push_back(user);
    out.lists.items.insert(out.lists.items.end(), history.begin(), history.end());
    out.lists.offsets.push_back(std::ssize(out.lists.items));
  }
  return out;
}

/// Mean - ln q of the validation items of the sample, that of all ranks.
double validation_loss(const SoftLabels& teacher, Communicator& comm, const Sample& sample, Range mine) {
  const int64_t A = std::ssize(sample.lists.users), K = std::ssize(sample.item);
  at::Tensor packed = at::full({A + K}, -INFINITY, at::kDouble);
  auto* const out = packed.mutable_data_ptr<double>();
  size_t k = 0;
  constexpr int64_t kAtATime = 64;
  for_each_range(A, kAtATime, [&](Range positions) {
    at::Tensor logits = teacher.logits(positions, {0, mine.count}).to(at::kCPU, at::kDouble);
    auto* const values = logits.mutable_data_ptr<double>();
    for (int64_t n = 0; n < positions.count; ++n) {
      double* const row = values + n * mine.count;
      const auto a = static_cast<size_t>(positions.first + n);
      for (int64_t m = sample.lists.offsets[a]; m < sample.lists.offsets[a + 1]; ++m) {
        const int64_t column = sample.lists.items[static_cast<size_t>(m)] - mine.first;
        if (column >= 0 && column < mine.count) row[column] = -INFINITY;
      }
      for (; k < sample.item.size() && sample.position[k] == positions.first + n; ++k) {
        const int64_t column = sample.item[k] - mine.first;
        if (column >= 0 && column < mine.count) out[A + static_cast<int64_t>(k)] = row[column];
      }
    }
    if (mine.count > 0) positions.of(packed).copy_(at::logsumexp(logits, 1));
  });
  comm.all_reduce(packed, ReduceOp::kLogSumExp);
  double loss = 0;
  for (size_t n = 0; n < sample.item.size(); ++n) loss += out[sample.position[n]] - out[static_cast<size_t>(A) + n];
  return loss / static_cast<double>(K);
}

/// The temperature by which the teacher predicts validation items best, on a grid.
double calibrated_beta(TemperedLabels& teacher, Communicator& comm, const Corpus& corpus, Range mine) {
  constexpr double kFirst = 1e-3, kStep = 1.41421356237;
  constexpr int kBetas = 28;  // to 16
  const Sample sample = validation_sample(corpus);
  if (sample.item.empty())
    throw ModelError(
        "teacher.beta = 0 chooses it on validation items, of which this corpus has none: set teacher.beta");
  teacher.start(comm, to_tensors(sample.lists));
  double best = kFirst, least = INFINITY;
  double beta = kFirst;
  for (int n = 0; n < kBetas; ++n, beta *= kStep) {
    teacher.set_beta(beta);
    const double loss = validation_loss(teacher, comm, sample, mine);
    if (loss < least) least = loss, best = beta;
  }
  return best;
}

}  // namespace

std::unique_ptr<SoftLabels> make_soft_labels(const ObjectiveOptions& objective, const OpenArguments& arguments) {
  if (!objective.has_labels()) return nullptr;
  const Corpus& corpus = arguments.corpus;
  Communicator& comm = arguments.channels.softmax;
  const int rank = comm.rank();
  const RowPartition items(corpus.vocabulary().num_items, comm.world_size());
  const at::ScalarType dtype = arguments.run.precision == at::kDouble ? at::kDouble : at::kFloat;
  const at::TensorOptions options = at::TensorOptions().dtype(dtype).device(arguments.device);
  const at::Tensor counts_J = item_counts(corpus);
  const TeacherOptions& teacher = objective.teacher;
  if (teacher.model == TeacherModel::kNone || teacher.model == TeacherModel::kPopularity) {
    const SmoothingOptions& smoothing = objective.smoothing;
    const double power = teacher.model == TeacherModel::kPopularity     ? teacher.popularity
                         : smoothing.kind == SmoothingKind::kPopularity ? smoothing.power
                                                                        : 0;
    return std::make_unique<PopularityLabels>(counts_J.narrow(0, items.begin(rank), items.size(rank)), power, options);
  }
  const Range mine{items.begin(rank), items.size(rank)};
  if (teacher.model == TeacherModel::kRun) {
    auto out = make_run_teacher(teacher, arguments, mine, counts_J, options);
    if (teacher.beta == 0) out->set_beta(calibrated_beta(*out, comm, corpus, mine));
    return out;
  }
  HostRanks ranks(arguments);
  require_memory_of(teacher, arguments, ranks.comm(), items, static_cast<int64_t>(at::elementSize(dtype)));
  at::Tensor texts;
  if (teacher.model == TeacherModel::kEaseText)
    texts = weights_between_texts(corpus, ranks.comm(), items, {}, teacher.text_ridge, arguments.agreed).to(dtype);
  std::vector<std::unique_ptr<TemperedLabels>> folds;
  for (UserFold without{.folds = teacher.folds}; without.fold < without.folds; ++without.fold) {
    if (teacher.top > 0) {
      folds.push_back(sparse_teacher(teacher, arguments, ranks.comm(), items, options, texts, without));
      continue;
    }
    folds.push_back(std::make_unique<LinearTeacher>(
        corpus, ranks.comm(), mine.first,
        LinearTeacher::Setup{teacher.model, teacher.holdout == TeacherHoldout::kLeaveOneOut, teacher.beta,
                             teacher.popularity, teacher.text_pull},
        columns_of(teacher, arguments, ranks.comm(), items, dtype, texts, without), item_counts(corpus, without)));
  }
  std::unique_ptr<TemperedLabels> out;
  if (folds.size() > 1) {
    out = std::make_unique<FoldedTeacher>(std::move(folds));
  } else {
    out = std::move(folds[0]);
  }
  if (teacher.beta == 0) out->set_beta(calibrated_beta(*out, comm, corpus, mine));
  return out;
}

}  // namespace cllm
