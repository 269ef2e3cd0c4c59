#include "dist/communicator/communicator.h"

#include <ATen/ops/empty.h>

#include <cstring>
#include <numeric>

namespace cllm {
namespace {

/// The bytes of `value` as a tensor [n] on the communicator's device.
at::Tensor to_tensor(const std::string& value, at::Device device) {
  at::Tensor bytes = at::empty({static_cast<int64_t>(value.size())}, at::kByte);
  if (!value.empty()) std::memcpy(bytes.data_ptr(), value.data(), value.size());
  return bytes.to(device);
}

std::string to_string(const at::Tensor& bytes) {
  const at::Tensor host = bytes.cpu();
  return host.numel() == 0 ? std::string() : std::string(static_cast<const char*>(host.data_ptr()), host.numel());
}

}  // namespace

std::vector<std::string> all_gather_strings(Communicator& comm, const std::string& value) {
  const auto long_on_device = at::TensorOptions().dtype(at::kLong).device(comm.device());
  at::Tensor lengths = at::empty({comm.world_size()}, long_on_device);
  const at::Tensor mine = to_tensor(value, comm.device());
  const at::Tensor length = at::empty({1}, at::kLong).fill_(mine.numel()).to(comm.device());
  comm.all_gather(lengths, length, std::vector<int64_t>(comm.world_size(), 1));

  const at::Tensor host_lengths = lengths.cpu();
  const std::span<const int64_t> rows(host_lengths.const_data_ptr<int64_t>(), comm.world_size());
  at::Tensor all = at::empty({std::accumulate(rows.begin(), rows.end(), int64_t{0})}, mine.options());
  comm.all_gather(all, mine, rows);

  const std::string joined = to_string(all);
  std::vector<std::string> values;
  size_t begin = 0;
  for (const int64_t row_count : rows) {
    values.push_back(joined.substr(begin, row_count));
    begin += row_count;
  }
  return values;
}

std::string broadcast_string(Communicator& comm, const std::string& value, int root) {
  at::Tensor length = at::empty({1}, at::kLong).fill_(static_cast<int64_t>(value.size())).to(comm.device());
  comm.broadcast(length, root);
  at::Tensor bytes = comm.rank() == root ? to_tensor(value, comm.device())
                                         : at::empty({length.item<int64_t>()},
                                                     at::TensorOptions().dtype(at::kByte).device(comm.device()));
  comm.broadcast(bytes, root);
  return to_string(bytes);
}

}  // namespace cllm
