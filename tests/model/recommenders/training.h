#pragma once

// What the trainer does with a recommender, and what a checkpoint keeps of it.

#include <ATen/core/grad_mode.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/equal.h>

#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "model/recommenders/registry.h"
#include "tests/data/sampling/small_corpus.h"
#include "tests/model/tensors.h"
#include "tests/support/thread_world.h"

namespace cllm::testing {

inline const Corpus& training_corpus() {
  static const SmallCorpus small;
  return small.corpus();
}

/// Opens a model in fp64 over these ranks, at the start of a stage.
inline std::unique_ptr<Recommender> open_in_fp64(const Model& model, const ModelOptions& options,
                                                 const Channels& channels, uint64_t seed = 3) {
  const OpenArguments arguments{.corpus = training_corpus(),
                                .channels = channels,
                                .host = &channels.world,
                                .run = {.seed = seed, .precision = at::kDouble},
                                .to_train = true,
                                .agreed = [](const std::function<void()>& work) { work(); }};
  auto out = model.open(options, arguments);
  out->reset_optimizer();  // as at the start of a stage
  return out;
}

/// Steps first .. last - 1 of the program.
inline std::vector<StepLosses> train(Recommender& model, int64_t first, int64_t last) {
  std::vector<StepLosses> losses;
  const Program& program = model.program();
  for (int64_t step = first; step < last; ++step) {
    const StepRef ref = program.at(step);
    const double learning_rate = program.segments()[program.segment_of(step)].learning_rate;
    losses.push_back(
        model.step(*model.input(ref), {.ref = ref, .global_step = step, .learning_rate = learning_rate}, nullptr));
  }
  return losses;
}

/// A copy of all state, tensor by tensor.
struct SavedStore {
  std::vector<Table> tables;
  std::vector<at::Tensor> dense;
  std::vector<int64_t> dense_steps;
};

inline at::Tensor copy_of(const at::Tensor& tensor) { return tensor.defined() ? tensor.clone() : tensor; }

inline SavedStore save(const Store& store) {
  SavedStore out;
  for (const NamedTable& named : store.tables) {
    out.tables.push_back(*named.table);
    Table& copy = out.tables.back();
    for (at::Tensor* rows : {&copy.weight, &copy.row_step}) *rows = copy_of(*rows);
    for (RowState& state : copy.state) state.rows = copy_of(state.rows);
  }
  for (const NamedTensor& tensor : store.trained()) out.dense.push_back(tensor.value.clone());
  for (const NamedDense& named : store.dense) out.dense_steps.push_back(named.adam->num_steps());
  return out;
}

inline void restore(const SavedStore& saved, const Store& store) {
  const at::NoGradGuard no_grad;
  for (size_t n = 0; n < saved.tables.size(); ++n) {
    const Table& from = saved.tables[n];
    Table& to = *store.tables[n].table;
    to.weight.copy_(from.weight);
    for (size_t k = 0; k < from.state.size(); ++k) to.state[k].rows.copy_(from.state[k].rows);
    to.row_step.copy_(from.row_step);
    to.step = from.step;
    to.learning_rate = from.learning_rate;
  }
  const auto trained = store.trained();
  for (size_t n = 0; n < saved.dense.size(); ++n) at::Tensor(trained[n].value).copy_(saved.dense[n]);
  for (size_t n = 0; n < store.dense.size(); ++n) store.dense[n].adam->set_num_steps(saved.dense_steps[n]);
}

inline bool same_bits(const SavedStore& a, const SavedStore& b) {
  const auto same = [](const at::Tensor& x, const at::Tensor& y) { return !x.defined() || at::equal(x, y); };
  for (size_t n = 0; n < a.tables.size(); ++n) {
    const Table &x = a.tables[n], &y = b.tables[n];
    if (x.step != y.step || !same(x.weight, y.weight) || !same(x.row_step, y.row_step)) return false;
    for (size_t k = 0; k < x.state.size(); ++k) {
      if (!same(x.state[k].rows, y.state[k].rows)) return false;
    }
  }
  for (size_t n = 0; n < a.dense.size(); ++n) {
    if (!same(a.dense[n], b.dense[n])) return false;
  }
  return a.dense_steps == b.dense_steps;
}

/// What training leaves: whole tables by name, trained tensors, losses, lists.
struct Trained {
  std::map<std::string, at::Tensor> tensors;
  std::vector<double> losses;
  std::vector<std::vector<ScoredItem>> lists;
};

/// One question per user of the corpus that has training items: those of rank r are user r, r + R, ….
inline std::vector<RankingQuery> questions(int rank, int world_size) {
  std::vector<RankingQuery> out;
  for (int64_t user = rank; user < training_corpus().vocabulary().num_users; user += world_size) {
    const auto items = training_corpus().items(user, Part::kTrain);
    out.push_back({.user = user, .history = {items.begin(), items.end()}, .masked = {items.begin(), items.end()}});
  }
  return out;
}

/// The whole training and lists of 5 items for all users. `out` is shared by the ranks of a thread world.
inline void train_and_rank(const Model& model, const ModelOptions& options, Communicator& comm, Trained& out) {
  static std::mutex mutex;
  const Channels channels(comm);
  const auto recommender = open_in_fp64(model, options, channels);
  const auto losses = train(*recommender, 0, recommender->program().num_steps());
  recommender->flush([] {});
  const int R = comm.world_size();
  const auto lists = recommender->top_items(questions(comm.rank(), R), 5);
  const Store store = recommender->store();

  const std::lock_guard lock(mutex);
  if (comm.rank() == 0) {
    for (const StepLosses& step : losses) out.losses.push_back(step.loss);
    for (const NamedTensor& tensor : store.trained()) out.tensors[tensor.name] = tensor.value.clone();
  }
  out.lists.resize(static_cast<size_t>(training_corpus().vocabulary().num_users));
  for (size_t n = 0; n < lists.size(); ++n) out.lists[n * static_cast<size_t>(R) + comm.rank()] = lists[n];
  for (const NamedTable& named : store.tables) {
    const Table* const table = named.table;
    at::Tensor& whole = out.tensors[named.name];
    if (!whole.defined()) whole = at::empty({table->layout.num_rows(), table->width()}, table->weight.options());
    for (int64_t local = 0; local < table->layout.num_local_rows(); ++local)
      whole[table->layout.global(local)] = table->weight[local];
  }
}

inline Trained train_and_rank(const Model& model, const ModelOptions& options, int world_size) {
  Trained out;
  training_corpus();
  run_ranks(world_size, [&](Communicator& comm) { train_and_rank(model, options, comm, out); });
  return out;
}

/// Losses, state and lists of two trainings are those of one another up to the rounding of sums in fp64.
inline void expect_same_training(const Trained& a, const Trained& b) {
  ASSERT_EQ(a.losses.size(), b.losses.size());
  for (size_t n = 0; n < a.losses.size(); ++n) EXPECT_NEAR(a.losses[n], b.losses[n], 1e-9);
  ASSERT_EQ(a.tensors.size(), b.tensors.size());
  for (const auto& [name, tensor] : a.tensors) EXPECT_LT(gap(tensor, b.tensors.at(name)), 1e-7) << name;
  for (size_t user = 0; user < a.lists.size(); ++user) {
    ASSERT_EQ(a.lists[user].size(), b.lists[user].size());
    for (size_t n = 0; n < a.lists[user].size(); ++n) EXPECT_EQ(a.lists[user][n].item, b.lists[user][n].item);
  }
}

/// Over this communicator, of which every process is a rank, training gives the losses and lists of one rank.
inline void expect_training_of_one_rank(const Model& model, const ModelOptions& options, Communicator& world) {
  Trained one, here;
  run_ranks(1, [&](Communicator& comm) { train_and_rank(model, options, comm, one); });
  train_and_rank(model, options, world, here);
  if (world.rank() == 0) {
    ASSERT_EQ(here.losses.size(), one.losses.size());
    for (size_t n = 0; n < one.losses.size(); ++n) EXPECT_NEAR(here.losses[n], one.losses[n], 1e-9);
  }
  const auto step = static_cast<size_t>(world.world_size());
  for (auto user = static_cast<size_t>(world.rank()); user < one.lists.size(); user += step) {
    ASSERT_EQ(here.lists[user].size(), one.lists[user].size());
    for (size_t n = 0; n < one.lists[user].size(); ++n) EXPECT_EQ(here.lists[user][n].item, one.lists[user][n].item);
  }
}

/// Trains `half` steps, saves, goes on to the end; a new model goes on from what was saved, and must end the same.
inline void expect_resume_is_bitwise(const Model& model, const ModelOptions& options, int world_size, int64_t half) {
  training_corpus();
  run_ranks(world_size, [&](Communicator& comm) {
    const Channels channels(comm);
    const auto whole = open_in_fp64(model, options, channels), resumed = open_in_fp64(model, options, channels, 3);
    const int64_t last = whole->program().num_steps();
    train(*whole, 0, half);
    const SavedStore saved = save(whole->store());
    const auto after = train(*whole, half, last);
    restore(saved, resumed->store());
    const auto again = train(*resumed, half, last);
    EXPECT_TRUE(same_bits(save(whole->store()), save(resumed->store())));
    EXPECT_FALSE(same_bits(save(whole->store()), saved));
    for (size_t n = 0; n < after.size(); ++n) EXPECT_EQ(after[n].loss, again[n].loss);
  });
}

}  // namespace cllm::testing
