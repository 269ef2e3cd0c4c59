#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace cllm {

/// Adam over replicated parameters (LLM-FtAll, LLM-Scratch, pretraining). Every rank holds the same parameters, moments
/// and summed gradients, so every rank makes the same update. Formula of Kingma & Ba 2015, algorithm 1, as
/// torch.optim.Adam.
class DenseAdam {
 public:
  using Named = std::vector<std::pair<std::string, at::Tensor>>;

  /// `parameters` are leaves; they are updated in place and their .grad is cleared by step().
  explicit DenseAdam(Named parameters, double beta1 = 0.9, double beta2 = 0.999);

  /// Fresh state: zero moments, step 0.
  void reset();

  /// One update with the gradients in .grad; a parameter without gradient counts as gradient 0.
  void step(double learning_rate);

  /// Scales all gradients so that their joint L2 norm is at most `max_norm`; returns the norm before.
  double clip_gradients(double max_norm);

  /// Name -> tensor of the state that a checkpoint must hold: "<name>", "<name>.m", "<name>.v".
  Named state() const;
  /// How many numbers the parameters have.
  int64_t num_parameters() const;
  int64_t num_steps() const { return num_steps_; }
  void set_num_steps(int64_t steps) { num_steps_ = steps; }

 private:
  struct Slot {
    std::string name;
    at::Tensor parameter, m, v;
  };
  std::vector<Slot> slots_;
  double beta1_, beta2_;
  int64_t num_steps_ = 0;
};

}  // namespace cllm
