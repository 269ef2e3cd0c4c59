#include <ATen/core/grad_mode.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/randn.h>
#include <c10/core/InferenceMode.h>

#include <algorithm>
#include <cstdio>
#include <map>

#include "data/random.h"
#include "dist/communicator/nccl_communicator.h"
#include "dist/device/device.h"
#include "model/backbones/gpt2/gpt2.h"
#include "model/recommenders/cllm4rec/item_head.h"
#include "model/step/batch_tensors.h"
#include "model/step/encode.h"
#include "tests/benchmarks/gpu/measure.h"
#include "tests/support/thread_world.h"

// Whole steps of GPT-2 small: 64 sequences of 1,024 tokens, bf16, frozen, lazy Adam, no dropout; MFU by
// model/step/flops.h. With and without mutual regularisation, whose gaps and pulls cost bytes but no counted operation.

namespace cllm::bench {
namespace {

constexpr int64_t kSequences = 64, kTokens = 1024, kPrompt = 5, kWidth = 768, kGroups = 4;
constexpr Vocabulary kVocabulary{50257, 100000, 12101};  // words, users, items of amazon_beauty

/// Appends a prediction of `target` to the last position, or to a new one.
void predict(RecBatch& batch, int32_t target, bool new_position) {
  if (new_position) {
    batch.active_rows.push_back(static_cast<int32_t>(batch.num_tokens()) - 1);
    batch.target_offsets.push_back(batch.target_offsets.back());
  }
  batch.targets.push_back(target);
  batch.target_weights.push_back(1e-3);
  ++batch.target_offsets.back();
}

/// Mutual regularisation covers every user and item that the tokens of a group name, as collate() lists them.
void cover(RecBatch& batch) {
  batch.num_groups = kGroups;
  std::map<std::pair<int32_t, int32_t>, int32_t> counts;  // (row, group)
  for (int64_t t = 0; t < batch.num_tokens(); ++t) {
    const int32_t token = batch.token_ids[static_cast<size_t>(t)];
    const auto group = static_cast<int32_t>(t / kTokens / (kSequences / kGroups));
    if (!batch.vocabulary.is_word(token)) ++counts[{batch.vocabulary.row_of(token), group}];
  }
  for (const auto& [place, count] : counts) batch.mr.covered.push_back({place.first, place.second, count});
}

/// Sequences of a user and random words or items. L and C predict every main token; finetuning a fifth as many items,
/// all from the last position.
RecBatch batch_of(StepKind kind, int64_t n) {
  CounterRng random(stream_key(3, Purpose::kDemoData, static_cast<uint64_t>(n), static_cast<uint64_t>(kind)));
  const auto below = [&](int64_t count) { return static_cast<int64_t>(random.below(static_cast<uint64_t>(count))); };
  RecBatch batch;
  batch.kind = kind;
  batch.vocabulary = kVocabulary;
  batch.sequence_offsets = {0};
  batch.target_offsets = {0};
  for (int64_t s = 0; s < kSequences; ++s) {
    batch.token_ids.push_back(kVocabulary.user_token(below(kVocabulary.num_users)));
    for (int64_t t = 1; t < kTokens; ++t) {
      const auto word = static_cast<int32_t>(below(kVocabulary.num_words));
      const auto item = static_cast<int32_t>(below(kVocabulary.num_items));
      const bool main = t >= kPrompt;
      if (main && kind == StepKind::kCollaborative) predict(batch, item, true);
      if (main && kind == StepKind::kContent) predict(batch, word, true);
      batch.token_ids.push_back(main && kind != StepKind::kContent ? kVocabulary.item_token(item) : word);
    }
    for (int64_t k = 0; kind == StepKind::kRecommendation && k < kTokens / 5; ++k) {
      predict(batch, static_cast<int32_t>(below(kVocabulary.num_items)), k == 0);
    }
    batch.sequence_offsets.push_back(static_cast<int32_t>(batch.num_tokens()));
    batch.sequence_keys.push_back(random.next());
  }
  cover(batch);
  return batch;
}

RecModel model_on(at::Device device) {
  const RowLayout layout(kVocabulary.num_users, kVocabulary.num_items, 0, 1);
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

/// Forward alone, as in a validation, and forward and backward to the input. All tokens pass all blocks but the rest of
/// the last one, which only the active rows (all but the prompts) pass: counted as if all did, half of step_flops()
/// without a head each way.
void measure_backbone(const Limits& limits, Report& report, const RecModel& model) {
  RecBatch batch = batch_of(StepKind::kContent, 0);
  const at::Tensor x_TD =
      at::randn({batch.num_tokens(), kWidth}, model.content.weight.options()).set_requires_grad(true);
  const at::Tensor gradient_AD =
      at::randn({static_cast<int64_t>(batch.active_rows.size()), kWidth}, x_TD.options()).to(at::kBFloat16);
  const PackedLayout layout = upload(make_tensors(batch, /*dropout=*/false, x_TD.device()), x_TD.device()).layout;
  const Times forward = time_on_device(10, [&](int) {
    const at::NoGradGuard no_grad;
    hidden_states(*model.backbone, layout, x_TD, {});
  });
  const Times both =
      time_on_device(10, [&](int) { hidden_states(*model.backbone, layout, x_TD, {}).backward(gradient_AD); });
  batch.active_rows.clear();  // no head
  const double flops = step_flops(batch, *model.backbone, {}, false);
  add(report, limits, "backbone, forward", forward, flops / 2, 0, "");
  char note[80];
  std::snprintf(note, sizeof note, "the backward pass takes %.2f times the forward pass",
                both.median() / forward.median() - 1);
  add(report, limits, "backbone, forward and dX", both, flops, 0, note);
}

/// A kind of step, and the weight of mutual regularisation.
struct StepForm {
  StepKind kind;
  const char* name;
  double lambda;

  std::string label() const { return std::string(name) + (lambda > 0 ? " with mutual regularisation" : ""); }
};

/// Beside the measured rate of products. The bar is half of the data sheet's rate, which products do not reach.
void measure_step(const Limits& limits, Report& report, TrainStep& step, const Backbone& backbone,
                  const StepForm& form) {
  constexpr double kDataSheet = 989e12;  // H200, dense bf16, FLOP/s
  std::vector<RecBatch> batches;
  std::vector<BatchTensors> tensors;  // which a run's input thread makes before the step
  for (int n = 0; n < 4; ++n) {
    batches.push_back(batch_of(form.kind, n));
    tensors.push_back(make_tensors(batches.back(), /*dropout=*/false, at::Device(at::kCUDA, 0)));
  }
  StepConfig config{.lambda = form.lambda};
  const auto run = [&](int n) {
    const size_t now = static_cast<size_t>(n) % batches.size();
    config.tensors = &tensors[now];
    step.run(batches[now], config);
  };
  const Times times = time_on_device(12, run);
  config.trace = true;
  run(0);
  std::string phases;
  for (const Phase& phase : kPhases) {
    char text[40];
    std::snprintf(text, sizeof text, ", %s %.1f", phase.name, 1e3 * step.phases().*phase.seconds);
    phases += text;
  }
  const double flops = step_flops(batches[0], backbone, config, false);
  const double bar = form.kind == StepKind::kRecommendation ? 0 : 0.50 * kDataSheet / 1e12 / limits.gemm_tflop_s;
  char note[120];
  std::snprintf(note, sizeof note,
                "MFU %.3f of an H200's 989 TFLOP/s (data sheet), whose half is the bar; ms of a traced step",
                flops / times.median() / kDataSheet);
  add(report, limits, form.label() + ", 64 x 1,024 tokens", times, flops, bar,
      note + phases + ", pairs of a covered row and a group " +
          std::to_string(form.lambda > 0 ? batches[0].mr.covered.size() : 0));
}

/// An L-step and a C-step with run.fetch_ahead: what their sum above spends on lookup and update lies beneath the other
/// step here.
void measure_turns(const Limits& limits, Report& report, TrainStep step, const Backbone& backbone) {
  constexpr size_t kBatches = 4;
  std::vector<RecBatch> l, c;
  for (int n = 0; n < static_cast<int>(kBatches); ++n) {
    l.push_back(batch_of(StepKind::kCollaborative, n));
    c.push_back(batch_of(StepKind::kContent, n));
  }
  const StepConfig config{.lambda = 0};
  size_t turn = 0;
  const Times times = time_on_device(8, [&](int) {
    const size_t now = turn++ % kBatches;
    const NextBatch to_c{c[now], config}, to_l{l[turn % kBatches], config};
    step.run(l[now], config, &to_c);
    step.run(c[now], config, &to_l);
  });
  const double flops = step_flops(l[0], backbone, config, false) + step_flops(c[0], backbone, config, false);
  add(report, limits, "L and C in turn, fetched ahead", times, flops, 0, "");
}

/// A checkpoint's copy of a table into the host's memory, alone; and how much longer a step takes that begins beside
/// it.
void measure_snapshot(Report& report, TrainStep& step, const at::Tensor& table) {
  HostCopies copies(table.device());
  const at::Tensor host = copies.buffer(table.sizes(), table.scalar_type());
  const auto bytes = static_cast<double>(table.nbytes());
  const Times fastest = time_on_device(5, [&](int) { host.copy_(table, /*non_blocking=*/true); });
  const Times alone = time_on_device(5, [&](int) {
    copies.start({{table, host}});
    copies.before_change();
  });
  report.add({"checkpoint snapshot of " + std::to_string(static_cast<int64_t>(bytes / 1e6)) + " MB", alone, bytes,
              "GB/s", bytes / fastest.median() / 1e9, "copy to pinned memory", 0, ""});
  const RecBatch batch = batch_of(StepKind::kCollaborative, 9);
  StepConfig config{.lambda = 0};
  const Times plain = time_on_device(5, [&](int) { step.run(batch, config); });
  config.before_change = [&] { copies.before_change(); };
  const Times beside = time_on_device(5, [&](int) {
    copies.start({{table, host}});
    step.run(batch, config);
  });
  report.add({"L-step that begins beside that snapshot", beside, bytes, "GB/s", bytes / plain.median() / 1e9,
              "L-step alone", 0, "lazy_adam: only the update waits for the copy"});
}

/// Rows to all ranks of a world of one: what the exchange costs beyond a copy.
void measure_loop_back(Report& report, at::Device device) {
  const at::Tensor in = at::randn({int64_t{1} << 18, kWidth}, at::TensorOptions().device(device));
  at::Tensor out = at::empty_like(in);
  const auto bytes = static_cast<double>(in.nbytes());
  testing::run_ranks(1, [&](Communicator& bootstrap) {
    const auto comm = make_nccl_communicator(bootstrap, {});
    const std::vector<int64_t> rows{in.size(0)};
    const Times copy = time_on_device(20, [&](int) { out.copy_(in); });
    const Times exchange = time_on_device(20, [&](int) { comm->all_to_all(out, in, rows, rows)->wait(); });
    report.add({"all-to-all of 805 MB, loop-back", exchange, 2 * bytes, "GB/s", 2 * bytes / copy.median() / 1e9, "copy",
                0, "several ranks: exchange_bench --device cuda"});
  });
}

}  // namespace

void measure_steps(const Limits& limits, Report& report) {
  const c10::InferenceMode with_graphs(false);
  const at::Device device(at::kCUDA, 0);
  RecModel model = model_on(device);
  report.attempt("backbone", [&] { measure_backbone(limits, report, model); });
  testing::run_ranks(1, [&](Communicator& comm) {
    use_device(device);
    const auto optimizer = make_row_optimizer({.name = "lazy_adam"});
    for (Table* table : {&model.collaborative, &model.content}) optimizer->reset(*table);
    TrainStep step(comm, model, *optimizer);
    for (const double lambda : {0.0, 0.02}) {
      for (const StepForm& form : {StepForm{StepKind::kCollaborative, "L-step", lambda},
                                   {StepKind::kContent, "C-step", lambda},
                                   {StepKind::kRecommendation, "finetuning step", lambda}}) {
        report.attempt(form.label(), [&] { measure_step(limits, report, step, *model.backbone, form); });
      }
    }
    report.attempt("L and C in turn",
                   [&] { measure_turns(limits, report, TrainStep(comm, model, *optimizer), *model.backbone); });
    report.attempt("checkpoint snapshot", [&] { measure_snapshot(report, step, model.collaborative.weight); });
  });
  report.attempt("all-to-all", [&] { measure_loop_back(report, device); });
}

}  // namespace cllm::bench
