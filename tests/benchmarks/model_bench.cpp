// What a backbone of any family computes and how fast, as figures for another program to compare (tests/benchmarks/
// against_transformers). IDS: a JSON list of lists of word ids; every figure is one line of JSON.
//
//   model_bench parameters DIR
//   model_bench logits DIR IDS OUT.safetensors       logits [n, N] of every text: "0", "1", ...
//   model_bench greedy DIR IDS COUNT                 the words that follow each text, by the largest logit
//   model_bench speed DIR fp32|bf16 LENGTHS REPEATS BATCH  forward and gradient of the input, LENGTHS: "17,60,...";
//                                                    BATCH sequences at a time, sorted by length; 0: all at once
//   model_bench products DIR fp32|bf16 TOKENS REPEATS   at::mm of the shapes of its matrices
//                                                    (threads: OMP_NUM_THREADS)

#include <ATen/Parallel.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/argmax.h>
#include <ATen/ops/index_select.h>
#include <ATen/ops/mm.h>
#include <ATen/ops/randn.h>
#include <ATen/ops/tensor.h>
#include <sys/resource.h>

#include <algorithm>
#include <cstdio>
#include <ctime>
#include <fstream>
#include <functional>
#include <map>
#include <nlohmann/json.hpp>
#include <numeric>
#include <set>
#include <sstream>

#include "model/backbones/load_backbone.h"
#include "model/backbones/safetensors.h"

namespace cllm {
namespace {

using Json = nlohmann::json;
using Arguments = std::vector<std::string>;

double clock_seconds(clockid_t clock) {
  timespec time{};
  clock_gettime(clock, &time);
  return static_cast<double>(time.tv_sec) + 1e-9 * static_cast<double>(time.tv_nsec);
}

struct Seconds {
  std::vector<double> wall, cpu;
};

Seconds timed(int repeats, const std::function<void()>& run) {
  run();
  Seconds out;
  for (int n = 0; n < repeats; ++n) {
    const double wall = clock_seconds(CLOCK_MONOTONIC), cpu = clock_seconds(CLOCK_PROCESS_CPUTIME_ID);
    run();
    out.wall.push_back(clock_seconds(CLOCK_MONOTONIC) - wall);
    out.cpu.push_back(clock_seconds(CLOCK_PROCESS_CPUTIME_ID) - cpu);
  }
  return out;
}

double median(std::vector<double> values) {
  std::ranges::sort(values);
  return values[values.size() / 2];
}

double peak_mib() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return static_cast<double>(usage.ru_maxrss) / 1024;
}

void print(const Json& figures) { std::printf("%s\n", figures.dump().c_str()); }

at::ScalarType dtype_of(const std::string& name) { return name == "bf16" ? at::kBFloat16 : at::kFloat; }

std::vector<std::vector<int64_t>> read_ids(const std::string& path) {
  std::ifstream file(path);
  return Json::parse(file).get<std::vector<std::vector<int64_t>>>();
}

std::vector<int64_t> numbers(const std::string& list) {
  std::vector<int64_t> out;
  std::istringstream stream(list);
  for (std::string part; std::getline(stream, part, ',');) out.push_back(std::stoll(part));
  return out;
}

at::Tensor states_of(const Backbone& model, const std::vector<int64_t>& ids) {
  const at::Tensor x_TD = model.word_embedding().index_select(0, at::tensor(ids, at::kLong)).to(at::kFloat);
  return model.forward(x_TD, make_layout({std::ssize(ids)}, at::kCPU), {});
}

void parameters(const Arguments& arguments) {
  int64_t count = 0;
  for (const auto& [name, tensor] : load_backbone(arguments.at(1), {})->parameters()) count += tensor.numel();
  print({{"parameters", count}});
}

void logits(const Arguments& arguments) {
  const at::NoGradGuard no_grad;
  const auto model = load_backbone(arguments.at(1), {});
  NamedTensors out;
  for (const auto& ids : read_ids(arguments.at(2)))
    out.emplace_back(std::to_string(out.size()), at::mm(states_of(*model, ids), model->text_head().t()));
  write_safetensors(arguments.at(3), out);
}

void greedy(const Arguments& arguments) {
  const at::NoGradGuard no_grad;
  const auto model = load_backbone(arguments.at(1), {});
  for (std::vector<int64_t> ids : read_ids(arguments.at(2))) {
    const size_t given = ids.size();
    for (int n = 0; n < std::stoi(arguments.at(3)); ++n) {
      const at::Tensor states = states_of(*model, ids), last = states.narrow(0, states.size(0) - 1, 1);
      ids.push_back(at::mm(last, model->text_head().t()).argmax().item<int64_t>());
    }
    print(std::vector<int64_t>(ids.begin() + static_cast<std::ptrdiff_t>(given), ids.end()));
  }
}

struct Batch {
  PackedLayout layout;
  at::Tensor x_TD, direction_TD;
};

/// `size` lengths each, sorted; 0: all as they are.
std::vector<std::vector<int64_t>> groups_of(std::vector<int64_t> lengths, size_t size) {
  if (size == 0) return {lengths};
  std::ranges::sort(lengths);
  std::vector<std::vector<int64_t>> out;
  for (size_t n = 0; n < lengths.size(); ++n) {
    if (n % size == 0) out.emplace_back();
    out.back().push_back(lengths[n]);
  }
  return out;
}

void speed(const Arguments& arguments) {
  const at::ScalarType compute = dtype_of(arguments.at(2));
  BackboneOptions options{at::kFloat, compute};
  for (int32_t word = 0; word < 1000; ++word) options.words.push_back(word);  // as of a corpus
  const auto model = load_backbone(arguments.at(1), options);
  const double loaded = peak_mib();
  const std::vector<int64_t> lengths = numbers(arguments.at(3));
  const int64_t T = std::accumulate(lengths.begin(), lengths.end(), int64_t{0}), D = model->width();
  double pairs = 0;
  for (const int64_t length : lengths) pairs += static_cast<double>(length * length);
  std::vector<Batch> batches;
  for (const auto& group : groups_of(lengths, std::stoul(arguments.at(5)))) {
    const PackedLayout layout = make_layout(group, at::kCPU);
    batches.push_back({layout, at::randn({layout.num_tokens(), D}).mul_(0.02).set_requires_grad(true),
                       at::randn({layout.num_tokens(), D}).to(compute)});
  }
  const Seconds times = timed(std::stoi(arguments.at(4)), [&] {
    for (Batch& batch : batches) {
      model->forward(batch.x_TD, batch.layout, {}).backward(batch.direction_TD);
      batch.x_TD.mutable_grad() = at::Tensor();
    }
  });
  const double work = 2 * model->flops(static_cast<double>(T), pairs);
  print({{"tokens", T},
         {"seconds", median(times.wall)},
         {"cpu_seconds", median(times.cpu)},
         {"tokens_per_second", static_cast<double>(T) / median(times.wall)},
         {"tokens_per_cpu_second", static_cast<double>(T) / median(times.cpu)},
         {"gflops", work / median(times.wall) / 1e9},
         {"gflops_of_cpu", work / median(times.cpu) / 1e9},
         {"loaded_mib", loaded},
         {"peak_mib", peak_mib()}});
}

void products(const Arguments& arguments) {
  const at::NoGradGuard no_grad;
  const at::TensorOptions type = at::TensorOptions().dtype(dtype_of(arguments.at(2)));
  const int64_t T = std::stoll(arguments.at(3));
  std::map<std::pair<int64_t, int64_t>, std::set<std::string>> shapes;  // [out, in]: which
  for (const auto& [name, tensor] : load_backbone(arguments.at(1), {})->parameters()) {
    if (tensor.dim() != 2 || name.find("layers.0.") == std::string::npos) continue;
    shapes[{tensor.size(0), tensor.size(1)}].insert(name.substr(name.find("layers.0.") + 9));
  }
  for (const auto& [shape, names] : shapes) {
    const at::Tensor x = at::randn({T, shape.second}, type), w = at::randn({shape.first, shape.second}, type),
                     g = at::randn({T, shape.first}, type);
    const double flops = 2.0 * static_cast<double>(T * w.numel());
    const Seconds forward = timed(std::stoi(arguments.at(4)), [&] { at::mm(x, w.t()); }),
                  backward = timed(std::stoi(arguments.at(4)), [&] { at::mm(g, w); });
    print({{"matrices", names},
           {"shape", {shape.first, shape.second}},
           {"forward_gflops", flops / median(forward.wall) / 1e9},
           {"backward_gflops", flops / median(backward.wall) / 1e9},
           {"forward_gflops_of_cpu", flops / median(forward.cpu) / 1e9},
           {"backward_gflops_of_cpu", flops / median(backward.cpu) / 1e9}});
  }
}

}  // namespace
}  // namespace cllm

int main(int argc, char** argv) {
  const cllm::Arguments arguments(argv + 1, argv + argc);
  const std::map<std::string, void (*)(const cllm::Arguments&)> tasks{{"parameters", cllm::parameters},
                                                                      {"logits", cllm::logits},
                                                                      {"greedy", cllm::greedy},
                                                                      {"speed", cllm::speed},
                                                                      {"products", cllm::products}};
  const auto task = tasks.find(arguments.empty() ? "" : arguments.front());
  if (task == tasks.end()) return std::fputs("model_bench: see the head of model_bench.cpp\n", stderr), 2;
  task->second(arguments);
}
