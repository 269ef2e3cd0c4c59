// Saves and finds small checkpoints of two ranks (threads) on request, for tests/fault: what a promise about files
// needs, without the rest of a run. One command a line on standard input, one JSON object a line on standard output:
//   save FOLDER STEP [PIN]    a whole checkpoint of the state of STEP
//   changes FOLDER STEP       an incremental one on top of the newest
//   fail CALL:ERRNO:N         from now on the N-th such call fails (shim.c, which must be preloaded); "fail none"
//   find FOLDER               the newest checkpoint that is in order, loaded and compared with the state of its step
//   faults_probe [no_fsync | early_rename | short_write]: saves wrongly, by broken_files.h

#include <ATen/ops/arange.h>
#include <ATen/ops/equal.h>
#include <dlfcn.h>

#include <chrono>
#include <cstdio>
#include <iostream>
#include <nlohmann/json.hpp>
#include <sstream>

#include "tests/faults/broken_files.h"
#include "tests/support/checkpoint_state.h"
#include "tests/support/thread_world.h"

namespace cllm::testing {
namespace {

using nlohmann::json;
using std::filesystem::path;

constexpr int kRanks = 2;

/// Every row counts as changed.
TrainState changes_of(int64_t step, int rank) {
  TrainState state = make_state(step, rank, kRanks);
  state.only_changes = true;
  for (ShardedTensor& tensor : state.tensors) {
    tensor.row_numbers = at::arange(tensor.first_row, tensor.first_row + tensor.rows.size(0), at::kLong);
  }
  return state;
}

json save_step(const path& parent, int64_t step, const std::string& pin, bool changes, Files& files) {
  run_ranks(kRanks, [&](Communicator& comm) {
    prepare(comm, parent, &files);
    SaveOptions options{.pin = pin, .files = &files};
    const auto base = changes ? find_latest(comm, parent, nullptr) : std::nullopt;
    if (base) options.base = &*base;
    save(comm, parent, step, changes ? changes_of(step, comm.rank()) : make_state(step, comm.rank(), kRanks), options);
  });
  return {{"saved", step}};
}

bool equal(const TrainState& found, const TrainState& expected) {
  bool same = found.metadata_json == expected.metadata_json;
  for (size_t n = 0; n < expected.tensors.size(); ++n)
    same = same && at::equal(found.tensors[n].rows, expected.tensors[n].rows);
  for (size_t n = 0; n < expected.replicated.size(); ++n) {
    same = same && at::equal(found.replicated[n].value, expected.replicated[n].value);
  }
  return same;
}

json find(const path& parent) {
  json answer = {{"step", -1}, {"right", true}, {"refused", json::array()}};
  run_ranks(kRanks, [&](Communicator& comm) {
    std::vector<Refusal> refused;
    const auto latest = find_latest(comm, parent, &refused);
    bool right = true;
    if (latest) {
      const TrainState expected = make_state(latest->step, comm.rank(), kRanks);
      TrainState loaded = zeroed(expected);
      load(comm, *latest, loaded);
      right = equal(loaded, expected);
    }
    const std::vector<std::string> all = all_gather_strings(comm, right ? "right" : "wrong");
    if (comm.rank() != 0) return;
    if (latest) answer["step"] = latest->step;
    for (const std::string& word : all) answer["right"] = answer["right"].get<bool>() && word == "right";
    for (const Refusal& refusal : refused) answer["refused"].push_back(refusal.reason);
  });
  return answer;
}

json fail(const std::string& what) {
  using Fail = void (*)(const char*);
  const auto shim_fail = reinterpret_cast<Fail>(::dlsym(RTLD_DEFAULT, "shim_fail"));
  if (shim_fail == nullptr) return {{"error", "faults_shim.so is not preloaded"}, {"code", 64}};
  shim_fail(what.c_str());
  return json::object();
}

json carry_out(const std::string& line, Files& files) {
  std::istringstream words(line);
  std::string what, parent, pin;
  int64_t step = 0;
  words >> what >> parent >> step >> pin;
  try {
    if (what == "fail") return fail(parent);
    if (what == "find") return find(parent);
    if (what == "save" || what == "changes") return save_step(parent, step, pin, what == "changes", files);
    return {{"error", "unknown command"}, {"code", 64}};
  } catch (const CheckpointError& error) {
    return {{"error", error.what()}, {"code", error.exit_code()}};
  }
}

}  // namespace
}  // namespace cllm::testing

int main(int argc, char** argv) {
  const auto files = cllm::testing::make_files(argc > 1 ? argv[1] : "");
  for (std::string line; std::getline(std::cin, line);) {
    const auto begin = std::chrono::steady_clock::now();
    nlohmann::json answer = cllm::testing::carry_out(line, *files);
    answer["seconds"] = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
    const auto replace = nlohmann::json::error_handler_t::replace;  // messages quote damaged files
    std::printf("%s\n", answer.dump(-1, ' ', false, replace).c_str());
    std::fflush(stdout);
  }
  return 0;
}
