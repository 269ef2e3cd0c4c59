#include "dist/two_level.h"

#include <ATen/ops/cat.h>
#include <ATen/ops/empty.h>

#include <numeric>
#include <vector>

namespace cllm {
namespace {

/// rows[i, j] blocks of a tensor, ordered by i, then j.
struct Blocks {
  int64_t num_i, num_j;
  std::vector<int64_t> rows;  // [i * num_j + j]

  int64_t at(int64_t i, int64_t j) const { return rows[static_cast<size_t>(i * num_j + j)]; }
  /// Sums over j.
  std::vector<int64_t> of_i() const {
    std::vector<int64_t> out;
    for (int64_t i = 0; i < num_i; ++i) {
      const auto begin = rows.begin() + i * num_j;
      out.push_back(std::accumulate(begin, begin + num_j, int64_t{0}));
    }
    return out;
  }
  Blocks transposed() const {
    Blocks out{num_j, num_i, {}};
    for (int64_t j = 0; j < num_j; ++j) {
      for (int64_t i = 0; i < num_i; ++i) out.rows.push_back(at(i, j));
    }
    return out;
  }
  /// The same blocks ordered by j, then i.
  at::Tensor transpose(const at::Tensor& tensor) const {
    std::vector<int64_t> begin(rows.size(), 0);
    std::exclusive_scan(rows.begin(), rows.end(), begin.begin(), int64_t{0});
    std::vector<at::Tensor> parts;
    for (int64_t j = 0; j < num_j; ++j) {
      for (int64_t i = 0; i < num_i; ++i) parts.push_back(tensor.narrow(0, begin[static_cast<size_t>(i * num_j + j)], at(i, j)));
    }
    return at::cat(parts);
  }
};

at::Tensor received(Communicator& comm, const at::Tensor& in, const std::vector<int64_t>& receive,
                    const std::vector<int64_t>& send) {
  std::vector<int64_t> shape = in.sizes().vec();
  shape[0] = std::accumulate(receive.begin(), receive.end(), int64_t{0});
  at::Tensor out = at::empty(shape, in.options());
  comm.all_to_all(out, in, receive, send)->wait();
  return out;
}

class TwoLevelCommunicator : public Communicator {
 public:
  TwoLevelCommunicator(std::unique_ptr<Communicator> world, TwoLevels levels)
      : world_(std::move(world)), levels_(std::move(levels)) {
    TORCH_CHECK(levels_.rail->world_size() * levels_.ranks_per_node() == world_->world_size() &&
                    levels_.rail->rank() * levels_.ranks_per_node() + levels_.node->rank() == world_->rank(),
                "two levels need equal nodes of neighbouring ranks");
  }

  int rank() const override { return world_->rank(); }
  int world_size() const override { return world_->world_size(); }
  at::Device device() const override { return world_->device(); }

  void all_reduce(at::Tensor& tensor, ReduceOp op) override { world_->all_reduce(tensor, op); }
  void all_gather(at::Tensor& out, const at::Tensor& in, std::span<const int64_t> rows) override {
    world_->all_gather(out, in, rows);
  }
  void reduce_scatter(at::Tensor& out, const at::Tensor& in, std::span<const int64_t> rows) override {
    world_->reduce_scatter(out, in, rows);
  }
  void broadcast(at::Tensor& tensor, int root) override { world_->broadcast(tensor, root); }
  void barrier() override { world_->barrier(); }
  std::unique_ptr<Communicator> duplicate(const std::string& name) override { return world_->duplicate(name); }

  /// Done when it returns.
  std::unique_ptr<Work> all_to_all(at::Tensor& out, const at::Tensor& in, std::span<const int64_t> receive_rows,
                                   std::span<const int64_t> send_rows) override {
    const int64_t N = levels_.rail->world_size(), L = levels_.ranks_per_node();
    const Blocks leaving{N, L, {send_rows.begin(), send_rows.end()}};  // [goal's node, goal's place]
    const Blocks by_place = leaving.transposed();                      // [goal's place, goal's node]
    const Blocks passing{L, N, counts_of_peers(by_place)};             // [local sender, goal's node]
    const at::Tensor here = received(*levels_.node, leaving.transpose(in), passing.of_i(), by_place.of_i());
    const Blocks arriving{N, L, {receive_rows.begin(), receive_rows.end()}};  // [sender's node, sender's place]
    levels_.rail->all_to_all(out, passing.transpose(here), arriving.of_i(), passing.transposed().of_i())->wait();
    return std::make_unique<Done>();
  }

 private:
  struct Done : Work {
    void wait() override {}
  };

  /// What every rank of the node sends through this one, per goal's node.
  std::vector<int64_t> counts_of_peers(const Blocks& by_place) {
    const std::vector<int64_t> each(static_cast<size_t>(by_place.num_i), by_place.num_j);
    at::Tensor mine = at::empty({by_place.num_i * by_place.num_j}, at::kLong);
    std::copy(by_place.rows.begin(), by_place.rows.end(), mine.mutable_data_ptr<int64_t>());
    const at::Tensor all = received(*levels_.node, mine.to(levels_.node->device()), each, each).cpu();
    return {all.const_data_ptr<int64_t>(), all.const_data_ptr<int64_t>() + all.numel()};
  }

  std::unique_ptr<Communicator> world_;
  TwoLevels levels_;
};

}  // namespace

std::unique_ptr<Communicator> make_two_level_communicator(std::unique_ptr<Communicator> world, TwoLevels levels) {
  return std::make_unique<TwoLevelCommunicator>(std::move(world), std::move(levels));
}

}  // namespace cllm
