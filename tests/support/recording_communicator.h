#pragma once

#include <string>
#include <vector>

#include "dist/communicator/communicator.h"

namespace cllm::testing {

/// Passes everything on to `comm` and writes "NAME operation" into a log that several may share.
class RecordingCommunicator : public Communicator {
 public:
  RecordingCommunicator(Communicator& comm, std::string name, std::vector<std::string>& log)
      : comm_(comm), name_(std::move(name)), log_(log) {}

  int rank() const override { return comm_.rank(); }
  int world_size() const override { return comm_.world_size(); }
  at::Device device() const override { return comm_.device(); }
  void all_reduce(at::Tensor& tensor, ReduceOp op) override {
    note("all_reduce");
    comm_.all_reduce(tensor, op);
  }
  void all_gather(at::Tensor& out, const at::Tensor& in, std::span<const int64_t> rows) override {
    note("all_gather");
    comm_.all_gather(out, in, rows);
  }
  void reduce_scatter(at::Tensor& out, const at::Tensor& in, std::span<const int64_t> rows) override {
    note("reduce_scatter");
    comm_.reduce_scatter(out, in, rows);
  }
  std::unique_ptr<Work> all_to_all(at::Tensor& out, const at::Tensor& in, std::span<const int64_t> receive_rows,
                                   std::span<const int64_t> send_rows) override {
    note("all_to_all");
    return comm_.all_to_all(out, in, receive_rows, send_rows);
  }
  void broadcast(at::Tensor& tensor, int root) override {
    note("broadcast");
    comm_.broadcast(tensor, root);
  }
  void barrier() override {
    note("barrier");
    comm_.barrier();
  }
  std::unique_ptr<Communicator> duplicate(const std::string& name) override {
    note("duplicate");
    return comm_.duplicate(name);
  }

 private:
  void note(const char* operation) { log_.push_back(name_ + " " + operation); }

  Communicator& comm_;
  std::string name_;
  std::vector<std::string>& log_;
};

}  // namespace cllm::testing
