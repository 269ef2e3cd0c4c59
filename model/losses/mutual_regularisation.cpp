#include "model/losses/mutual_regularisation.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/tensor.h>

#include <algorithm>
#include <array>

#include "dist/device/device.h"
#include "model/kernels/rows/rows.h"

namespace cllm {
namespace {

using Triple = std::array<int32_t, 3>;  // row, group, count: the bytes that travel

/// The triples of all ranks for the rows of this rank.
std::vector<Triple> send_to_owners(Communicator& comm, const RowLayout& layout,
                                   const std::vector<CoveredRow>& covered) {
  const size_t R = static_cast<size_t>(comm.world_size());
  std::vector<std::vector<Triple>> outgoing(R);
  for (const CoveredRow& c : covered)
    outgoing[static_cast<size_t>(layout.owner(c.row))].push_back({c.row, c.group, c.count});

  at::Tensor send_counts = at::empty({static_cast<int64_t>(R), 1}, at::kLong),
             receive_counts = at::empty_like(send_counts);
  std::vector<int64_t> send_rows;
  for (const auto& triples : outgoing) send_rows.push_back(static_cast<int64_t>(triples.size()));
  std::copy(send_rows.begin(), send_rows.end(), send_counts.mutable_data_ptr<int64_t>());
  const std::vector<int64_t> ones(R, 1);
  comm.all_to_all(receive_counts, send_counts, ones, ones)->wait();
  const int64_t* const counts = receive_counts.const_data_ptr<int64_t>();
  const std::vector<int64_t> receive_rows(counts, counts + R);

  at::Tensor send = at::empty({static_cast<int64_t>(covered.size()), 3}, at::kInt);
  int32_t* to = send.mutable_data_ptr<int32_t>();
  for (const auto& triples : outgoing) {
    for (const Triple& triple : triples) to = std::copy(triple.begin(), triple.end(), to);
  }
  int64_t total = 0;
  for (const int64_t n : receive_rows) total += n;
  at::Tensor received = at::empty({total, 3}, at::kInt);
  comm.all_to_all(received, send, receive_rows, send_rows)->wait();

  std::vector<Triple> triples(static_cast<size_t>(total));
  const int32_t* const from = received.const_data_ptr<int32_t>();
  for (size_t n = 0; n < triples.size(); ++n) std::copy_n(from + 3 * n, 3, triples[n].begin());
  return triples;
}

}  // namespace

const LocalRows& MutualRegularisationTerm::find_rows() {
  const RowLayout& layout = own_.layout;
  std::vector<Triple> triples = send_to_owners(comm_, layout, mr_.covered);
  std::sort(triples.begin(), triples.end());  // by row, then group; users stand before items, in local rows too
  std::vector<int64_t>& rows = covered_.rows;
  std::vector<double> factors;
  const double unit = mr_.scale / static_cast<double>(num_groups_);
  for (size_t n = 0; n < triples.size(); ++n) {
    const auto [row, group, count] = triples[n];
    const int64_t local = layout.local(row);
    if (rows.empty() || rows.back() != local) {
      rows.push_back(local);
      factors.push_back(0);
    }
    const bool same_as_before = n > 0 && triples[n - 1][0] == row && triples[n - 1][1] == group;
    factors.back() += mr_.once_per_group ? (same_as_before ? 0 : unit) : unit * count;
  }
  const at::Device device = own_.weight.device();
  covered_.rows_C = upload(at::tensor(rows, at::kLong), device);
  factors_C_ = upload(at::tensor(factors, at::kDouble), device);
  return covered_;
}

OwnerResult MutualRegularisationTerm::value_and_pull(double weight) {
  OwnerResult out;
  out.value = (factors_C_ * kernels::square_gaps(own_.weight, fixed_.weight, covered_.rows_C)).sum();
  if (weight != 0 && !covered_.rows.empty()) out.pull = {covered_.rows_C, factors_C_ * (2 * weight), fixed_.weight};
  return out;
}

}  // namespace cllm
