#pragma once

// A folder that reference/make_golden.py wrote; see reference/README.md for its layout. Nothing about the sizes is
// built in.

#include <ATen/core/Tensor.h>

#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "data/sampling/batch.h"
#include "dist/communicator/communicator.h"
#include "model/backbones/backbone.h"
#include "model/backbones/safetensors.h"
#include "model/recommenders/cllm4rec/preset.h"
#include "model/recommenders/cllm4rec/sequence.h"
#include "model/recommenders/cllm4rec/train_step.h"

namespace cllm::golden {

using Json = nlohmann::json;

/// Limits for values computed in one precision: those of reference/README.md for fp64 and fp32.
struct Tolerances {
  double loss;        // losses, a mean over many terms
  double value;       // logits, hidden states, gradients
  double trajectory;  // tables and moments
};

/// The set as one rank uses it: its inputs in one precision, split over the ranks. `dtype` bf16 is what run.precision =
/// "bf16" trains with: the backbone and the heads multiply in bf16, tables and sums are fp32.
class GoldenSet {
 public:
  GoldenSet(const std::string& dir, Communicator& comm, Communicator& host, at::ScalarType dtype,
            at::Device device = at::kCPU);

  const Json& index() const { return index_; }
  Communicator& comm() const { return comm_; }
  at::ScalarType dtype() const { return dtype_; }
  bool is_bf16() const { return dtype_ == at::kBFloat16; }
  at::Device device() const { return device_; }
  const Vocabulary& vocabulary() const { return vocabulary_; }
  RowLayout layout() const;
  Tolerances tolerances() const {
    if (dtype_ == at::kDouble) return {1e-9, 1e-9, 1e-9};
    // A bf16 number is within 2^-9 = 0.002 of what it rounds; a value passes a dozen roundings. Largest gaps here:
    // 0.004, 0.03, 0.06.
    if (is_bf16()) return {1e-2, 5e-2, 1e-1};
    return device_.is_cpu() ? Tolerances{2e-5, 2e-5, 5e-5} : Tolerances{1e-4, 1e-4, 1e-4};
  }
  std::string suffix() const {
    return std::string(dtype_ == at::kDouble ? " f64"
                       : is_bf16()           ? " bf16"
                                             : " f32") +
           (device_.is_cpu() ? "" : " on " + device_.str());
  }

  /// The fp64 results, which both precisions are compared with: `<stem>.f64.safetensors`.
  const SafetensorsFile& truth(const std::string& stem);
  std::string path(const std::string& name) const { return dir_ + "/" + name; }
  SafetensorsFile open(const std::string& name) const { return SafetensorsFile(path(name)); }
  std::shared_ptr<Backbone> backbone(const std::string& folder = "tiny_gpt2",
                                     const AdapterOptions& adapters = {}) const;
  /// On the device; if it is floating, in the precision of the tables.
  at::Tensor placed(const at::Tensor& tensor) const;
  /// Both sides from tables_std<std>, without optimiser state, and a fresh backbone.
  RecModel model(const std::string& std) const;

  /// A case's sequences in the order of its groups; the global batch.
  std::vector<Sequence> sequences(const Json& batch_case, const LossOptions& options) const;
  /// This rank's part of them (every world_size-th) as a Batch.
  RecBatch batch(const Json& batch_case, const LossOptions& options) const;
  /// Recommendation prompt of a user.
  std::vector<int32_t> recommendation_prompt(const LossOptions& options, int64_t user,
                                             const std::vector<int32_t>& visible) const;
  /// The rows of a whole table [I or J, D] that this rank owns.
  at::Tensor own_users(const at::Tensor& users) const;
  at::Tensor own_items(const at::Tensor& items) const;

 private:
  std::string dir_;
  Communicator &comm_, &host_;
  at::ScalarType dtype_;
  at::Device device_;
  Json index_;
  Vocabulary vocabulary_;
  std::map<std::string, SafetensorsFile> truth_;
};

StepKind kind_of(const Json& batch_case);
/// "l" or "c": the side that a step of this kind trains.
std::string side_of(StepKind kind);

}  // namespace cllm::golden
