#pragma once

#include "model/recommenders/cllm4rec/options.h"
#include "tests/data/text/shared_files.h"

namespace cllm::testing {

/// A training of L-steps alone, of groups of 6, with gpt2-mini's sizes and random weights.
inline Cllm4recOptions l_stage_options(int64_t epochs = 1) {
  Cllm4recOptions options;
  options.backbone = shared("backbones/gpt2-mini-8k").string();
  options.random_backbone = true;
  options.warmup.epochs = options.finetune.epochs = 0;
  options.mutual.epochs = epochs;
  options.mutual.content_epochs = false;
  options.lambda_collaborative = 0;
  options.group_size = 6;
  return options;
}

}  // namespace cllm::testing
