#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "dist/communicator/communicator.h"
#include "dist/communicator/two_level.h"
#include "dist/rows/row_layout.h"

namespace cllm {

/// Where the rows of one step come from and their gradients go to; tensors on the exchange's device. U unique rows
/// asked for by this rank; P rows that peers (and this rank) ask of this rank's shard, grouped by asking rank.
struct Route {
  at::Tensor inverse_T;            // int64 [T] position of each asked id among the U unique rows
  at::Tensor unique_rows_U;        // int64 [U] global rows, by owner, ascending within an owner; on the CPU
  std::vector<int64_t> ask;        // [R] rows asked of each rank; sums to U
  std::vector<int64_t> serve;      // [R] rows that each rank asks of this one; sums to P
  at::Tensor served_local_P;       // int64 [P] local rows, in rank order of the askers, ascending within an asker
  at::Tensor touched_local_M;      // int64 [M] distinct local rows among served_local_P, ascending
  at::Tensor touched_of_served_P;  // int64 [P] position of each served row among the distinct ones
  std::vector<int64_t> served;     // served_local_P on the host (two levels: as the node's ranks name them)
  std::vector<int64_t> distinct;   // distinct ones of `served`, ascending: touched_local_M on the host
  /// Two levels: the members above are the route inside the node (whose "owner" of a row is the rank on the row's
  /// rail), these the route of its distinct rows along the rail; touched_local_M and served_local_P are those of the
  /// rail.
  std::shared_ptr<const Route> beyond;
};

/// Rows on their way between start_fetch() and finish_fetch(), which alone use it. Two levels: those of the rail, in
/// `beyond`.
struct Arriving {
  /// Some of the rows: their places among the asked ones, and what each rank gets of this one.
  struct Part {
    at::Tensor places, local_rows;    // int64, on the device
    std::vector<int64_t> ask, serve;  // [R]
  };
  Part late;
  at::Tensor rows_UD, early_places, early, served;
  std::unique_ptr<Work> work;
  std::unique_ptr<Arriving> beyond;
};

/// Gradients on their way between start_return() and finish_return(), which alone use it.
struct Returning {
  at::Tensor sent_UD, arrived_PD;
  std::unique_ptr<Work> work;  // null: nothing travels
};

/// Gradients at the owner of their rows, not yet summed, in rank order of the senders.
struct GradientParts {
  at::Tensor values_PD;
  at::Tensor row_of_P;  // int64 place among touched_local_M of each part's row; undefined: part p is row p's
};

/// The distinct ones of some rows.
struct UniqueRows {
  std::vector<int64_t> rows;  // ascending
  at::Tensor position_T;      // int64 [T] place in `rows` of each, on the device of the kernels
};

/// What an exchange does with rows where the tables are; tensors of one device.
struct RowKernels {
  /// table_ND[rows_U]: [U, D].
  std::function<at::Tensor(const at::Tensor& table_ND, const at::Tensor& rows_U)> gather;
  /// [num_rows, D]: row m is the sum of the values whose entry in row_of_P is m, in the order of P.
  std::function<at::Tensor(const at::Tensor& values_PD, const at::Tensor& row_of_P, int64_t num_rows)> sum;
  /// The list comes from the host, and its distinct rows go there.
  std::function<UniqueRows(std::span<const int32_t> rows_T)> unique;
  /// out_ND[rows_K[k]] = source_KD[k]; the rows are distinct.
  std::function<void(const at::Tensor& out_ND, const at::Tensor& rows_K, const at::Tensor& source_KD)> scatter;
};
/// Those of the CPU; fp32 and fp64. model/kernels/rows/rows.h has those of GPUs.
RowKernels cpu_row_kernels();

/// Where the ids that a rank asks for are sorted: where the tables are, or on the host while the device has other work
/// to do.
enum class SortOn { kDevice, kHost };

/// Moves embedding rows from their owners to the ranks that need them, and gradients back (DESIGN.md §3 "lookup",
/// "return"). All members are collective. Ids are sent on the host; they are sorted, and rows and gradients are, on
/// `device` and travel from there.
class RowExchange {
 public:
  RowExchange(Communicator& comm, const RowLayout& layout, at::Device device = at::kCPU,
              RowKernels kernels = cpu_row_kernels());

  /// The same in two levels: rows that several ranks of a node ask for cross the network once, and so do their
  /// gradients, summed per node first (so sums have another order than on one level).
  RowExchange(TwoLevels& levels, const RowLayout& layout, at::Device device = at::kCPU,
              RowKernels kernels = cpu_row_kernels());

  /// Deduplicates the global rows this rank needs and tells the owners. `rows_T` may be empty.
  Route route(std::span<const int32_t> rows_T, SortOn sort_on = SortOn::kDevice);

  /// Rows of the sharded table `local_rows [num_local_rows, D]` in the order of unique_rows_U: [U, D].
  at::Tensor fetch(const Route& route, const at::Tensor& local_rows);

  /// fetch() around an update that changes `busy` of this rank's rows (local, ascending): the others travel from now
  /// on, while the caller goes on; the busy ones when finish_fetch() is called after the update. Of two levels, along
  /// the rails; inside the nodes at the end.
  Arriving start_fetch(const Route& route, const at::Tensor& local_rows, const std::vector<int64_t>& busy);
  at::Tensor finish_fetch(const Route& route, Arriving arriving, const at::Tensor& local_rows);

  /// Sends gradients [U, D] to the owners; they travel while the caller goes on, also with other collectives. Of two
  /// levels, on the first.
  Returning start_return(const Route& route, const at::Tensor& gradients_UD);
  GradientParts finish_return(const Route& route, Returning returning);

 private:
  /// The last part of a fetch: `served`, the rows of served_local_P, to those who asked.
  at::Tensor hand_out(const Route& route, const at::Tensor& served);
  /// Of two levels: what this rank serves inside its node, out of the rows that it got along its rail.
  at::Tensor served_in_node(const Route& route, const at::Tensor& rows_of_rail);

  using OfRow = std::function<int64_t(int64_t row)>;
  /// Where rows are: the rank of comm_ that has one, and its number there.
  struct Places {
    OfRow owner, local;
  };
  RowExchange(Communicator& comm, int64_t num_rows, at::Device device, RowKernels kernels, Places places);

  Communicator& comm_;
  int64_t num_rows_;
  at::Device device_;
  RowKernels kernels_;
  Places places_;
  std::unique_ptr<RowExchange> beyond_;  // two levels: this one is the node's, that one the rail's
};

}  // namespace cllm
