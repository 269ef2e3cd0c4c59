#pragma once

#include <string>

namespace cllm {

/// Writes <run_dir>/report.html: one self-contained page with test metrics against baselines, loss and validation
/// curves, timing and the configuration. Reads metrics.jsonl, timing.jsonl, baselines.json and config.toml of the run
/// folder; what is missing is left out. Conventions: README.md, "Metrics".
void write_report(const std::string& run_dir);

}  // namespace cllm
