#include <gtest/gtest.h>

#include "tests/model/recommenders/cllm4rec/small_model.h"
#include "tests/support/thread_world.h"

// The rows of the next step fetched beneath the update of this one, or beneath its backward pass where the next trains
// the other side; then the update is made beneath the next step's forward pass.

namespace cllm {
namespace {

using namespace testing;

/// A device that does as little as it may: data move when somebody waits for them, not before.
class LazyCommunicator : public Communicator {
 public:
  explicit LazyCommunicator(Communicator& comm) : comm_(comm) {}

  int rank() const override { return comm_.rank(); }
  int world_size() const override { return comm_.world_size(); }
  at::Device device() const override { return comm_.device(); }
  void all_reduce(at::Tensor& tensor, ReduceOp op) override { comm_.all_reduce(tensor, op); }
  void all_gather(at::Tensor& out, const at::Tensor& in, std::span<const int64_t> rows) override {
    comm_.all_gather(out, in, rows);
  }
  void reduce_scatter(at::Tensor& out, const at::Tensor& in, std::span<const int64_t> rows) override {
    comm_.reduce_scatter(out, in, rows);
  }
  std::unique_ptr<Work> all_to_all(at::Tensor& out, const at::Tensor& in, std::span<const int64_t> receive_rows,
                                   std::span<const int64_t> send_rows) override {
    return std::make_unique<LazyWork>([this, out, in, receive = std::vector(receive_rows.begin(), receive_rows.end()),
                                       send = std::vector(send_rows.begin(), send_rows.end())]() mutable {
      comm_.all_to_all(out, in, receive, send)->wait();
    });
  }
  void broadcast(at::Tensor& tensor, int root) override { comm_.broadcast(tensor, root); }
  void barrier() override { comm_.barrier(); }
  std::unique_ptr<Communicator> duplicate(const std::string& name) override { return comm_.duplicate(name); }

 private:
  struct LazyWork : Work {
    explicit LazyWork(std::function<void()> move) : move_(std::move(move)) {}
    void wait() override { move_(); }
    std::function<void()> move_;
  };
  Communicator& comm_;
};

struct Plan {
  int world_size;
  std::string optimizer;
  std::vector<StepKind> kinds;
  ItemSoftmax form = ItemSoftmax::kSharded;
};

enum class Fetch { kInTime, kAhead, kAheadOnALazyDevice };

Tables train(const Plan& run, Fetch fetch) {
  Tables out;
  run_ranks(run.world_size, [&](Communicator& eager) {
    LazyCommunicator lazy(eager);
    Communicator& comm = fetch == Fetch::kAheadOnALazyDevice ? static_cast<Communicator&>(lazy) : eager;
    const StepConfig config{
        .lambda = 0.3, .learning_rate = 1e-2, .item_softmax = run.form, .negatives = 2, .negative_key = 4};
    train_small(comm, run.optimizer, run.kinds, config, fetch != Fetch::kInTime, out);
  });
  return out;
}

TEST(FetchAhead, ChangesNoBitWhateverFollowsWhatever) {
  constexpr StepKind L = StepKind::kCollaborative, C = StepKind::kContent;
  for (const int world_size : {1, 2, 3}) {
    for (const kernels::RowRule& rule : kernels::row_rules()) {
      const std::string optimizer(rule.name);
      for (const ItemSoftmax form : {ItemSoftmax::kSharded, ItemSoftmax::kSampled}) {
        const Plan run{world_size, optimizer, {L, C, C, L, L, C, L}, form};
        const Tables want = train(run, Fetch::kInTime);
        EXPECT_TRUE(train(run, Fetch::kAhead) == want) << optimizer << ", " << world_size << " ranks";
        EXPECT_TRUE(train(run, Fetch::kAheadOnALazyDevice) == want)
            << optimizer << ", " << world_size << " ranks, lazy";
      }
    }
  }
}

TEST(FetchAhead, TheUpdateOfAStepIsLeftToTheNextOfTheOtherSideOrToWhoeverSettles) {
  run_ranks(2, [](Communicator& eager) {
    LazyCommunicator comm(eager);
    const auto optimizer = make_row_optimizer({.name = "lazy_adam"});
    RecModel model = small_model(comm, *optimizer);
    TrainStep step(comm, model, *optimizer);
    const RecBatch first = batch_of(StepKind::kCollaborative, comm.rank(), 2),
                   second = batch_of(StepKind::kContent, comm.rank(), 2),
                   third = batch_of(StepKind::kCollaborative, comm.rank(), 2);
    StepConfig config{.lambda = 0.3};
    int changes = 0;
    config.before_change = [&] { ++changes; };
    const NextBatch to_second{second, config}, to_third{third, config};
    const at::Tensor l = model.collaborative.weight.clone(), c = model.content.weight.clone();
    step.run(first, config, &to_second);
    EXPECT_TRUE(at::equal(model.collaborative.weight, l));
    EXPECT_EQ(changes, 0);
    step.run(second, config, &to_third);
    EXPECT_FALSE(at::equal(model.collaborative.weight, l));
    EXPECT_TRUE(at::equal(model.content.weight, c));
    EXPECT_EQ(changes, 1);
    step.settle(config.before_change);
    EXPECT_FALSE(at::equal(model.content.weight, c));
    step.settle(config.before_change);
    EXPECT_EQ(changes, 2);
    step.run(third, config);
    EXPECT_EQ(changes, 3);
  });
}

TEST(FetchAhead, ANumberThatIsNotFiniteIsReportedThoughTheUpdateIsLate) {
  run_ranks(1, [](Communicator& comm) {
    const auto optimizer = make_row_optimizer({.name = "sgd"});
    RecModel model = small_model(comm, *optimizer);
    TrainStep step(comm, model, *optimizer);
    const RecBatch first = batch_of(StepKind::kCollaborative, 0, 1), second = batch_of(StepKind::kContent, 0, 1);
    const StepConfig config{.lambda = 1e308};  // the pull overflows where the regulariser itself does not
    const NextBatch next{second, {}};
    model.collaborative.weight.mul_(1e3);
    step.run(first, config, &next);
    EXPECT_EQ(step.non_finite(), NonFinite::kNone);
    step.run(second, {});
    EXPECT_NE(step.non_finite(), NonFinite::kNone);
  });
}

TEST(FetchAhead, AnotherStepThanTheAnnouncedOneIsAnError) {
  run_ranks(1, [](Communicator& comm) {
    const auto optimizer = make_row_optimizer({});
    RecModel model = small_model(comm, *optimizer);
    TrainStep step(comm, model, *optimizer);
    const RecBatch first = batch_of(StepKind::kCollaborative, 0, 1), second = batch_of(StepKind::kContent, 0, 1);
    const StepConfig config;
    const NextBatch next{second, config};
    step.run(first, config, &next);
    EXPECT_THROW(step.run(first, config), c10::Error);
  });
}

}  // namespace
}  // namespace cllm
