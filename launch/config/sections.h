#pragma once

// What of a configuration the program itself owns; models own theirs (model/recommenders/*/options.h).

#include <cstdint>
#include <string>
#include <vector>

#include "data/settings.h"

namespace cllm {

struct RunSection {
  std::string dir = "runs/run";
  std::string corpus;
  int64_t seed = 0;
  std::string device = "cpu";
  std::string precision = "fp32";        // fp32 | bf16 | fp64
  std::string table_precision = "full";  // full | bf16
  bool fetch_ahead = false;
  std::string user_tables = "device";  // device | host
  int64_t ranks_per_node = 0;          // 0: rows travel in one level
  int64_t threads = 0;                 // 0: cores / ranks of this host
  double deadline_s = 600;
  double startup_deadline_s = 1800, load_deadline_s = 1800, save_deadline_s = 1800;
  int64_t max_restarts = 3;
  int64_t replica_check_steps = 100;
};

struct InitSection {
  std::string run;                // "": none
  std::string new_rows = "mean";  // mean | own
};

struct DataSection {
  std::string only = "all";  // all | new
};

struct CheckpointSection {
  int64_t every_steps = 0;
  double every_seconds = 600;
  int64_t keep = 2;
  int64_t milestone_steps = 0;
  std::string verify = "full";
  int64_t whole_every = 1;
};

struct LogSection {
  int64_t every_steps = 10;
  bool tensorboard = true, jsonl = true, report = true, samples = false, trace = false;
  std::string mlflow;  // URI for launch/publish; "": none
};

void describe(RunSection& run, Settings& settings);
void describe(InitSection& init, Settings& settings);
void describe(DataSection& data, Settings& settings);
void describe(CheckpointSection& checkpoint, Settings& settings);
void describe(LogSection& log, Settings& settings);

}  // namespace cllm
