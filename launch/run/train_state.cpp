#include "launch/run/train_state.h"

#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/index.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "checkpoints/errors.h"
#include "launch/config/text.h"
#include "launch/failures/errors.h"

namespace cllm {
namespace {

using nlohmann::json;

void add_table(TrainState& state, const std::string& name, const Table& table) {
  const auto add = [&](const std::string& what, const at::Tensor& rows) {
    if (!rows.defined()) return;
    for (const RowGroup& group : table.layout.groups()) {
      if (group.partition.num_rows() == 0) continue;
      state.tensors.push_back({name + "_" + group.name + "." + what, group.partition.num_rows(),
                               group.partition.begin(table.layout.rank()), Table::rows_of(rows, group)});
    }
  };
  add("weight", table.weight);
  for (const RowState& one : table.state) add(one.name, one.rows);
  add("row_step", table.row_step);
}

[[noreturn]] void damaged(const std::string& what) {
  throw CheckpointError(CheckpointError::kUnusable, "the checkpoint's metadata is damaged: " + what);
}

SegmentSums read_sums(const json& meta) {
  SegmentSums out{.steps = meta.at("sum_steps")};
  const json& sums = meta.at("sums");
  // Runs of before other models were known have no names.
  const auto names = meta.value("sum_terms", std::vector<std::string>{"lm", "mr"});
  out.loss = sums.at(0);
  for (size_t n = 1; n < sums.size(); ++n) out.terms.emplace_back(names.at(n - 1), sums.at(n).get<double>());
  return out;
}

}  // namespace

void SegmentSums::add(double step_loss, const std::vector<std::pair<std::string, double>>& step_terms) {
  loss += step_loss;
  ++steps;
  for (const auto& [name, value] : step_terms) {
    const auto sum = std::ranges::find(terms, name, &std::pair<std::string, double>::first);
    if (sum == terms.end())
      terms.emplace_back(name, value);
    else
      sum->second += value;
  }
}

std::string to_metadata(const Cursor& cursor, const Store& store, const std::string& config_digest) {
  json sums = json::array({cursor.sums.loss}), names = json::array(), steps = json::array(), rates = json::array(),
       dense_steps = json::array();
  for (const auto& [name, value] : cursor.sums.terms) {
    names.push_back(name);
    sums.push_back(value);
  }
  for (const NamedTable& named : store.tables) {
    steps.push_back(named.table->step);
    rates.push_back(named.table->learning_rate);
  }
  for (const NamedDense& named : store.dense) dense_steps.push_back(named.adam->num_steps());
  return json{{"config_digest", config_digest},
              {"global_step", cursor.global_step},
              {"best_step", cursor.best_step},
              {"best_score", cursor.best_score},
              {"best_stage", cursor.best_stage},
              {"validations_since_best", cursor.validations_since_best},
              {"finished", cursor.finished},
              {"finish_due", cursor.finish_due},
              {"sums", sums},
              {"sum_terms", names},
              {"sum_steps", cursor.sums.steps},
              {"table_steps", steps},
              {"table_rates", rates},
              {"dense_steps", dense_steps}}
      .dump();
}

Cursor from_metadata(const std::string& metadata, const Store& store, int num_stages,
                     const std::string& config_digest) try {
  const json meta = json::parse(metadata);
  const auto found = meta.at("config_digest").get<std::string>();
  if (!config_digest.empty() && found != config_digest) {
    throw ConfigError("the checkpoint was written by another configuration (digest " + found + ", now " +
                      config_digest + "): restore the configuration, or choose another run.dir");
  }
  Cursor cursor;
  cursor.global_step = meta.at("global_step");
  cursor.best_step = meta.at("best_step");
  cursor.best_score = meta.at("best_score");
  cursor.best_stage = meta.at("best_stage");
  if (cursor.best_stage < 0 || cursor.best_stage >= num_stages) {
    damaged("best_stage " + std::to_string(cursor.best_stage));
  }
  cursor.validations_since_best = meta.at("validations_since_best");
  cursor.finished = meta.at("finished");
  cursor.finish_due = meta.value("finish_due", false);  // checkpoints of before it was known have none
  cursor.sums = read_sums(meta);
  for (size_t n = 0; n < store.tables.size(); ++n) {
    store.tables[n].table->step = meta.at("table_steps").at(n);
    store.tables[n].table->learning_rate = meta.at("table_rates").at(n);
  }
  for (size_t n = 0; n < store.dense.size(); ++n) {
    // Checkpoints of before there could be two have one number.
    const json& steps = meta.contains("dense_steps") ? meta.at("dense_steps").at(n) : meta.at("backbone_step");
    store.dense[n].adam->set_num_steps(steps);
  }
  return cursor;
} catch (const json::exception& error) {
  damaged(error.what());
} catch (const std::out_of_range&) {
  damaged("more sums than names");
}

std::vector<ReplicatedTensor> view_replicas(const Store& store) {
  std::vector<ReplicatedTensor> replicas;
  for (const NamedTensor& tensor : store.trained()) replicas.push_back({tensor.name, tensor.value});
  for (const NamedTensor& tensor : store.kept) replicas.push_back({tensor.name, tensor.value});
  for (const NamedTensor& tensor : store.frozen) replicas.push_back({tensor.name, tensor.value});
  return replicas;
}

TrainState view_state(const Store& store) {
  TrainState state;
  for (const NamedTable& named : store.tables) add_table(state, named.name, *named.table);
  for (const NamedTensor& tensor : store.trained()) state.replicated.push_back({tensor.name, tensor.value});
  for (const NamedTensor& tensor : store.kept) state.replicated.push_back({tensor.name, tensor.value});
  return state;
}

namespace {

/// Evenly spaced values of all places, as bf16.
at::Tensor sampled(const at::Tensor& tensor) {
  constexpr int64_t kMost = 1024;
  const at::NoGradGuard no_grad;
  const int64_t count = std::min(kMost, tensor.numel()), columns = tensor.dim() == 0 ? 1 : tensor.size(-1);
  const at::Tensor rows = tensor.dim() == 2 ? tensor : tensor.reshape({-1, columns});  // a matrix may be transposed
  const at::TensorOptions places = at::TensorOptions().dtype(at::kLong).device(tensor.device());
  const at::Tensor at =
      (at::arange(count, places) * (tensor.numel() - 1)).floor_divide(std::max<int64_t>(count - 1, 1));
  return at::index(rows, {at.floor_divide(columns), at.remainder(columns)}).to(at::kCPU, at::kBFloat16).contiguous();
}

}  // namespace

std::string fingerprint_of_frozen(const Store& store) {
  if (store.frozen.empty()) return "";
  std::string all;
  for (const NamedTensor& tensor : store.frozen) {
    all += tensor.name + " ";
    for (const int64_t size : tensor.value.sizes()) all += std::to_string(size) + " ";
    if (tensor.value.numel() == 0) continue;
    const at::Tensor values = sampled(tensor.value);
    all += digest_of_text({static_cast<const char*>(values.const_data_ptr()), values.nbytes()}) + "\n";
  }
  return digest_of_text(all);
}

}  // namespace cllm
