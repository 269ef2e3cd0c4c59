#include "model/recommenders/cllm4rec/objective/run_teacher.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/mm.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/zeros.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <filesystem>
#include <unordered_map>
#include <utility>

#include "dist/device/device.h"
#include "model/errors.h"

namespace cllm {

RunTeacher::RunTeacher(const Corpus& corpus, std::shared_ptr<Recommender> run, Range mine, const Setup& setup,
                       const at::Tensor& counts_J, const at::TensorOptions& options)
    : corpus_(corpus), run_(std::move(run)), mine_(mine), setup_(setup), options_(options),
      by_user_(!run_->why_no_fold_in().empty()),
      popularity_v_(log_popularity(counts_J.narrow(0, mine.first, mine.count), setup.popularity, options)) {
  if (const at::Tensor rows = run_->scored_rows(); rows.defined()) rows_vD_ = rows.to(options);
}

/// The shown items in the order of the user's training items, as any list of the run is asked for.
std::vector<RankingQuery> RunTeacher::queries_of(const HistoryTensors& all, const std::vector<int64_t>& asked) const {
  const auto* const users = all.users_B.const_data_ptr<int64_t>();
  const auto* const offsets = all.offsets_B1.const_data_ptr<int64_t>();
  const auto* const items = all.items_M.const_data_ptr<int64_t>();
  const auto* const sequence = all.sequence_A.const_data_ptr<int64_t>();
  const auto* const shown = all.shown_A.const_data_ptr<int64_t>();
  std::vector<RankingQuery> out;
  std::unordered_map<int32_t, size_t> place;
  int64_t places_of = -1;
  for (const int64_t a : asked) {
    const int64_t b = sequence[a], user = users[b];
    if (places_of != user) {
      place.clear();
      const auto history = corpus_.history(user, Part::kTrain);
      for (const int32_t item : history) place.emplace(item, place.size());
      places_of = user;
    }
    RankingQuery query{.user = by_user_ ? user : -1};
    for (int64_t m = offsets[b]; m < offsets[b] + shown[a]; ++m)
      query.history.push_back(static_cast<int32_t>(items[m]));
    std::ranges::stable_sort(query.history, {}, [&](int32_t item) {
      const auto found = place.find(item);
      return found == place.end() ? place.size() : found->second;
    });
    out.push_back(std::move(query));
  }
  return out;
}

/// All scores of each query [n, J].
at::Tensor RunTeacher::lists_of(std::span<const RankingQuery> queries) const {
  const int64_t J = corpus_.vocabulary().num_items;
  const auto lists = run_->top_items(queries, J);
  at::Tensor out = at::zeros({std::ssize(queries), J}, at::kDouble);
  auto* const scores = out.mutable_data_ptr<double>();
  for (size_t n = 0; n < lists.size(); ++n) {
    for (const ScoredItem& scored : lists[n]) scores[static_cast<int64_t>(n) * J + scored.item] = scored.score;
  }
  return out.to(options_);
}

void RunTeacher::start(Communicator& comm, const HistoryTensors& all) {
  const auto begin = std::chrono::steady_clock::now();
  const int64_t A = all.sequence_A.size(0);
  std::vector<int64_t> asked;  // that have shown something
  for (int64_t a = 0; a < A; ++a) {
    if (all.shown_A.const_data_ptr<int64_t>()[a] > 0) asked.push_back(a);
  }
  const RowPartition shares(std::ssize(asked), comm.world_size());
  const auto first = asked.begin() + shares.begin(comm.rank());
  const std::vector<RankingQuery> queries = queries_of(all, {first, first + shares.size(comm.rank())});
  const at::Tensor mine_nX = rows_vD_.defined() ? run_->query_rows(queries).to(options_) : lists_of(queries);
  std::vector<int64_t> counts;
  counts.reserve(static_cast<size_t>(comm.world_size()));
  for (int rank = 0; rank < comm.world_size(); ++rank) counts.push_back(shares.size(rank));
  at::Tensor all_nX = at::empty({std::ssize(asked), mine_nX.size(1)}, options_);
  comm.all_gather(all_nX, mine_nX.contiguous(), counts);
  if (!rows_vD_.defined()) all_nX = all_nX.narrow(1, mine_.first, mine_.count);
  answers_AX_ = at::zeros({A, all_nX.size(1)}, options_);
  answers_AX_.index_copy_(0, upload(at::tensor(asked, at::kLong), options_.device()), all_nX);
  last_queries_ = std::ssize(asked);
  last_seconds_ = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}

at::Tensor RunTeacher::scores(Range positions, Range rows) const {
  const at::Tensor answers_bX = positions.of(answers_AX_);
  if (!rows_vD_.defined()) return answers_bX.narrow(1, rows.first, rows.count).contiguous();
  return at::mm(answers_bX, rows.of(rows_vD_).t());
}

at::Tensor RunTeacher::logits(Range positions, Range rows) const {
  return scores(positions, rows).div_(setup_.beta).add_(rows.of(popularity_v_));
}

std::string RunTeacher::describe() const {
  constexpr double kMiB = 1 << 20;
  const double row_bytes = static_cast<double>(options_.dtype().itemsize());
  char numbers[160];
  if (rows_vD_.defined()) {
    std::snprintf(numbers, sizeof numbers, "%.1f MiB for its rows of items on rank 0 and %.1f KiB a position",
                  static_cast<double>(rows_vD_.numel()) * row_bytes / kMiB,
                  static_cast<double>(rows_vD_.size(1)) * row_bytes / 1024);
  } else {
    std::snprintf(numbers, sizeof numbers, "lists of all items, %.1f KiB a position",
                  static_cast<double>(corpus_.vocabulary().num_items) * row_bytes / 1024);
  }
  std::string out = "teacher    the run " + setup_.folder +
                    ", which has seen the histories that it teaches; asked once for every position, by " +
                    (by_user_ ? "the user and the items shown: " : "the items shown: ") + numbers;
  if (chosen_ && last_queries_ > 0) {
    std::snprintf(numbers, sizeof numbers, "; %lld histories took %.2f s", static_cast<long long>(last_queries_),
                  last_seconds_);
    out += numbers;
  }
  std::snprintf(numbers, sizeof numbers, "%.3g", setup_.beta);
  return out + "\n           its scores / " + numbers + " (teacher.beta" +
         (chosen_ ? ", where it predicts validation items best)" : ")") + "\n";
}

std::unique_ptr<RunTeacher> make_run_teacher(const TeacherOptions& teacher, const OpenArguments& arguments, Range mine,
                                             const at::Tensor& counts_J, const at::TensorOptions& options) {
  arguments.agreed([&] {
    const std::string where = "teacher.model = \"" + teacher.run + "\": ";
    if (!std::filesystem::exists(teacher.run))
      throw OptionError(where + "neither none | popularity | ease | ease_text | item_cosine nor the folder of a run");
    if (!arguments.open_run) throw OptionError(where + "no other run can be opened here");
  });
  return std::make_unique<RunTeacher>(arguments.corpus, arguments.open_run(teacher.run), mine,
                                      RunTeacher::Setup{teacher.run, teacher.beta, teacher.popularity}, counts_J,
                                      options);
}

}  // namespace cllm
