#include <c10/core/InferenceMode.h>

#include <algorithm>

#include "data/random.h"
#include "dist/device.h"
#include "model/encode.h"
#include "model/flops.h"
#include "model/gpt2.h"
#include "tests/benchmarks/gpu/measure.h"
#include "tests/support/thread_world.h"

// Whole steps of GPT-2 small: 64 sequences of 1,024 tokens, bf16, frozen, lazy Adam, no dropout; MFU by model/flops.h.

namespace cllm::bench {
namespace {

constexpr int64_t kSequences = 64, kTokens = 1024, kPrompt = 5, kWidth = 768;
constexpr Vocabulary kVocabulary{50257, 100000, 12101};  // words, users, items of amazon_beauty

/// Every main token is predicted; its own items or words at random.
Batch batch_of(StepKind kind, int64_t n) {
  CounterRng random(stream_key(3, Purpose::kDemoData, static_cast<uint64_t>(n), static_cast<uint64_t>(kind)));
  const bool items = kind == StepKind::kCollaborative;
  Batch batch;
  batch.kind = kind;
  batch.vocabulary = kVocabulary;
  batch.sequence_offsets = {0};
  batch.target_offsets = {0};
  for (int64_t s = 0; s < kSequences; ++s) {
    batch.token_ids.push_back(kVocabulary.user_token(static_cast<int64_t>(random.below(kVocabulary.num_users))));
    for (int64_t t = 1; t < kTokens; ++t) {
      const auto word = static_cast<int32_t>(random.below(static_cast<uint64_t>(kVocabulary.num_words)));
      const auto item = static_cast<int64_t>(random.below(static_cast<uint64_t>(kVocabulary.num_items)));
      if (t >= kPrompt) {
        batch.active_rows.push_back(static_cast<int32_t>(batch.num_tokens()) - 1);
        batch.targets.push_back(items ? static_cast<int32_t>(item) : word);
        batch.target_offsets.push_back(static_cast<int32_t>(batch.targets.size()));
        batch.target_weights.push_back(1e-3);
      }
      batch.token_ids.push_back(items && t >= kPrompt ? kVocabulary.item_token(item) : word);
    }
    batch.sequence_offsets.push_back(static_cast<int32_t>(batch.num_tokens()));
    batch.sequence_keys.push_back(random.next());
  }
  return batch;
}

RecModel model_on(at::Device device) {
  const TableLayout layout(kVocabulary.num_users, kVocabulary.num_items, 0, 1);
  RecModel model;
  model.backbone = make_gpt2({}, 1, {.parameters = at::kFloat, .compute = at::kBFloat16, .device = device});
  model.collaborative = make_random_table(layout, kWidth, at::kFloat, 1, Side::kCollaborative);
  model.content = make_random_table(layout, kWidth, at::kFloat, 1, Side::kContent);
  for (Table* table : {&model.collaborative, &model.content}) table->weight = table->weight.to(device);
  return model;
}

void add(Report& report, const Limits& limits, const std::string& name, const Times& times, double flops, double bar,
         const std::string& note) {
  report.add({name, times, flops, "TFLOP/s", limits.gemm_tflop_s, "GEMM", bar, note});
}

void measure_backbone(const Limits& limits, Report& report, const RecModel& model) {
  Batch batch = batch_of(StepKind::kContent, 0);
  const at::Tensor x_TD = at::randn({batch.num_tokens(), kWidth}, model.content.weight.options()).set_requires_grad(true);
  const at::Tensor gradient_AD =
      at::randn({static_cast<int64_t>(batch.active_rows.size()), kWidth}, x_TD.options()).to(at::kBFloat16);
  const Times times = time_on_device(10, [&](int) { hidden_states(*model.backbone, batch, x_TD, {}).backward(gradient_AD); });
  batch.active_rows.clear();  // no head
  const double flops = step_flops(batch, *model.backbone, {}, false);
  add(report, limits, "backbone, forward and dX", times, flops, 0, "");
}

}  // namespace

void measure_steps(const Limits& limits, Report& report) {
  const c10::InferenceMode with_graphs(false);
  const at::Device device(at::kCUDA, 0);
  RecModel model = model_on(device);
  measure_backbone(limits, report, model);
  testing::run_ranks(1, [&](Communicator& comm) {
    use_device(device);
    const auto optimizer = make_row_optimizer({.name = "lazy_adam"});
    for (Table* table : {&model.collaborative, &model.content}) optimizer->reset(*table);
    TrainStep step(comm, model, *optimizer);
    for (const auto& [kind, name] : {std::pair{StepKind::kCollaborative, "L-step"}, {StepKind::kContent, "C-step"}}) {
      std::vector<Batch> batches;
      for (int n = 0; n < 4; ++n) batches.push_back(batch_of(kind, n));
      const StepConfig config{.lambda = 0};
      const Times times = time_on_device(12, [&](int n) { step.run(batches[static_cast<size_t>(n) % batches.size()], config); });
      const double flops = step_flops(batches[0], *model.backbone, config, false);
      add(report, limits, std::string(name) + ", 64 x 1,024 tokens", times, flops, 0.50,
          "MFU; the bar of PERFORMANCE.md §1 is against the data sheet's dense bf16 rate: " +
              std::to_string(flops / times.median() / 989e12).substr(0, 5) + " of an H200's 989 TFLOP/s");
    }
  });
  const at::Tensor& table = model.collaborative.weight;
  at::Tensor host = at::empty(table.sizes()), pinned = host.pin_memory();
  const Times fastest = time_on_device(5, [&](int) { pinned.copy_(table, /*non_blocking=*/true); });
  const Times snapshot = time_on_device(5, [&](int) { host.copy_(table); });
  const auto bytes = static_cast<double>(table.nbytes());
  report.add(
      {"checkpoint snapshot of 344 MB", snapshot, bytes, "GB/s", bytes / fastest.median() / 1e9, "copy to pinned memory", 0, ""});
}

}  // namespace cllm::bench
