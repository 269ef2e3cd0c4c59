#include "launch/supervision/step_meeting.h"

#include <ATen/ops/empty.h>
#include <ATen/ops/tensor.h>

#include <algorithm>

namespace cllm {
namespace {

constexpr int64_t kNumbers = 8;  // of a report

}  // namespace

std::vector<RankReport> exchange(Communicator& comm, const RankReport& mine) {
  const at::Tensor own =
      at::tensor({static_cast<double>(mine.signal), static_cast<double>(mine.data_ready),
                  static_cast<double>(mine.save_failed), static_cast<double>(mine.non_finite), mine.work.own_s,
                  mine.work.tokens, static_cast<double>(mine.time_is_up), static_cast<double>(mine.save_due)},
                 at::kDouble)
          .view({1, kNumbers})
          .to(comm.device());
  const std::vector<int64_t> one_each(static_cast<size_t>(comm.world_size()), 1);
  at::Tensor all = at::empty({comm.world_size(), kNumbers}, own.options());
  comm.all_gather(all, own, one_each);
  const at::Tensor host = all.cpu();
  const auto table = host.accessor<double, 2>();
  std::vector<RankReport> reports;
  for (int64_t rank = 0; rank < comm.world_size(); ++rank) {
    const auto row = table[rank];
    reports.push_back({static_cast<int>(row[0]),
                       row[1] != 0,
                       row[2] != 0,
                       static_cast<NonFinite>(static_cast<int>(row[3])),
                       {row[4], row[5]},
                       row[6] != 0,
                       row[7] != 0});
  }
  return reports;
}

bool all_data_ready(std::span<const RankReport> reports) {
  return std::ranges::all_of(reports, &RankReport::data_ready);
}

bool any_save_failed(std::span<const RankReport> reports) {
  return std::ranges::any_of(reports, &RankReport::save_failed);
}

std::string stop_reason(std::span<const RankReport> reports) {
  for (size_t rank = 0; rank < reports.size(); ++rank) {
    if (reports[rank].signal != 0)
      return "signal " + std::to_string(reports[rank].signal) + " to rank " + std::to_string(rank);
  }
  return reports[0].time_is_up ? "the time limit is near" : "";
}

std::string non_finite_place(std::span<const RankReport> reports) {
  size_t worst = 0;  // the place that a step comes to first
  for (size_t rank = 1; rank < reports.size(); ++rank) {
    const NonFinite place = reports[rank].non_finite, known = reports[worst].non_finite;
    if (place != NonFinite::kNone && (known == NonFinite::kNone || place < known)) worst = rank;
  }
  if (reports[worst].non_finite == NonFinite::kNone) return "";
  return std::string(name_of(reports[worst].non_finite)) + " of rank " + std::to_string(worst);
}

}  // namespace cllm
