#include "tests/bad_input/bad_input.h"

namespace cllm::testing {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

const std::string kSame =
    "--run.corpus=corpus --run.backbone=backbone --warmup.epochs=1 --mutual.epochs=1 --finetune.epochs=1 ";
const std::string kGoOn = "train --run.dir=run " + kSame;

/// Damages every checkpoint of the run, so that there is none to fall back to.
void each_manifest(const std::function<void(const std::string&)>& damage) {
  for (const auto& entry : fs::directory_iterator("run/checkpoints")) {
    if (entry.is_directory()) damage(entry.path() / "manifest.json");
  }
}
void each_shard(const std::function<void(const std::string&)>& damage) {
  for (const auto& entry : fs::directory_iterator("run/checkpoints")) {
    if (entry.is_directory()) damage(find(entry.path(), "shard-"));
  }
}

int64_t newest_step() { return json::parse(read(checkpoint_manifest())).at("step"); }

BadInput manifest_row(const std::string& name, const std::function<void(json&)>& change,
                      std::vector<std::string> message) {
  return {"checkpoint_" + name, [change] { forge_checkpoint(checkpoint_manifest(), change); }, "checkpoint verify run",
          66, std::move(message)};
}

}  // namespace

Rows bad_runs() {
  return {
      {"run_missing", nothing, "evaluate nowhere", 64, {"nowhere is no run folder", "config.toml"}},
      {"run_is_a_corpus", nothing, "recommend corpus", 64, {"corpus is no run folder"}},
      {"run_config_damaged", [] { write("run/config.toml", "[run"); }, "evaluate run", 64, {"run/config.toml:1"}},
      {"run_of_other_configuration",
       nothing,
       kGoOn + "--loss.lambda=7",
       64,
       {"another configuration", "lambda", "--fresh"}},
      {"start_from_a_run_of_another_optimizer",
       nothing,
       kTrain + "--init.run=run --optimizer.name=sgd",
       64,
       {"init.run", "optimizer.name", "this run sgd", "set the same here"}},
      {"start_from_a_run_with_other_tables",
       nothing,
       kTrain + "--init.run=run --run.table_precision=bf16",
       64,
       {"init.run", "run.table_precision = full", "this run bf16"}},
      {"start_from_a_run_in_another_precision",
       nothing,
       kTrain + "--init.run=run --run.precision=fp64",
       64,
       {"init.run", "run.precision = fp32", "this run fp64"}},
      {"run_crash_loop",
       [] { write("run/starts.json", R"({"newest_step": )" + std::to_string(newest_step()) + R"(, "starts": 3})"); },
       kGoOn,
       78,
       {"no progress: started 3 times", "train.log", "starts.json"}},
      {"run_corpus_moved",
       [] { remove("corpus"); },
       "evaluate run --corpus corpus",
       65,
       {"corpus/corpus.json: no such file"}},
      {"run_without_checkpoints", [] { remove("run/checkpoints"); }, "evaluate run", 66, {"checkpoint"}},
      {"run_export_without_checkpoints", [] { remove("run/checkpoints"); }, "export run", 66, {"checkpoint"}},
      {"run_export_into_a_file",
       [] { write("out", ""); },
       "export run --output out",
       64,
       {"out exists already", "--overwrite"}},
      {"checkpoint_all_damaged",
       [] { each_manifest([](const std::string& path) { truncate(path, 100); }); },
       kGoOn,
       66,
       {"run/checkpoints", "manifest.json"}},
      {"checkpoint_no_manifests", [] { each_manifest(remove); }, kGoOn, 66, {"run/checkpoints"}},
      {"checkpoint_shards_cut",
       [] { each_shard([](const std::string& path) { truncate(path, 1000); }); },
       kGoOn,
       66,
       {"shard-00000-of-00001.h5", "1000"}},
      {"checkpoint_shards_missing", [] { each_shard(remove); }, kGoOn, 66, {"shard-00000-of-00001.h5"}},
      {"checkpoint_byte_flipped",
       [] { each_shard([](const std::string& path) { flip_byte(path, fs::file_size(path) - 9); }); },
       "checkpoint verify run",
       66,
       {"shard-00000-of-00001.h5", "expected checksum", "found"}},
      {"checkpoint_flipped_before_evaluate",
       [] { each_shard([](const std::string& path) { flip_byte(path, fs::file_size(path) - 9); }); },
       "evaluate run",
       66,
       {"shard-00000-of-00001.h5"}},
      {"checkpoint_manifest_edited",
       [] { replace(checkpoint_manifest(), "\"step\": ", "\"step\": 1"); },
       "checkpoint verify run",
       66,
       {"manifest.json", "expected checksum"}},
      {"checkpoint_manifest_empty",
       [] { write(checkpoint_manifest(), ""); },
       "checkpoint verify run",
       66,
       {"manifest.json"}},
      manifest_row("of_the_future", [](json& j) { j["version"] = 99; }, {"manifest.json", "format version 99"}),
      manifest_row("step_beyond_64_bits", [](json& j) { j["step"] = 1e30; }, {"expected a whole number, found 1e+30"}),
      manifest_row("of_other_program", [](json& j) { j["format"] = "x"; }, {"not a cllm4rec checkpoint"}),
      manifest_row("negative_step", [](json& j) { j["step"] = -1; }, {"step"}),
      manifest_row("shape_overflows",
                   [](json& j) {
                     j["tensors"][0]["shape"] = {int64_t{1} << 62, 16};
                   },
                   {"out of range"}),
      manifest_row("rows_missing", [](json& j) { j["tensors"][0]["parts"][0]["first_row"] = 1; },
                   {"should begin at row 0"}),
      manifest_row("outside_its_shard", [](json& j) { j["tensors"][0]["parts"][0]["offset"] = int64_t{1} << 50; },
                   {"lies outside its shard"}),
      manifest_row("unknown_shard", [](json& j) { j["tensors"][0]["parts"][0]["shard"] = 9; },
                   {"names a shard that is not listed"}),
      manifest_row("shard_outside", [](json& j) { j["shards"][0]["file"] = "../x"; }, {"../x"}),
      manifest_row("tensor_twice", [](json& j) { j["tensors"].push_back(j["tensors"][0]); }, {"listed twice"}),
      manifest_row("unknown_dtype", [](json& j) { j["tensors"][0]["dtype"] = "int3"; }, {"unknown dtype", "int3"}),
      {"checkpoint_manifest_nested_deeply",
       [] {
         write(checkpoint_manifest(), R"({"format": "cllm4rec checkpoint", "version": 1, "x": )" +
                                          std::string(300000, '[') + std::string(300000, ']') + "}");
       },
       "checkpoint verify run",
       66,
       {"manifest.json"}},
      {"checkpoint_tensor_renamed",
       [] {
         each_manifest([](const std::string& path) {
           forge_checkpoint(path, [](json& j) { j["tensors"][0]["name"] = "other"; });
         });
       },
       kGoOn,
       66,
       {"tensor \"", "expected float32", "found none"}},
      {"checkpoint_metadata_damaged",
       [] {
         each_manifest([](const std::string& path) {
           forge_checkpoint(path, [](json& j) { j["metadata"] = {{"x", 1}}; });
         });
       },
       kGoOn,
       66,
       {"metadata"}},
      {"checkpoint_metadata_wrong_types",
       [] {
         each_manifest(
             [](const std::string& path) { forge_checkpoint(path, [](json& j) { j["metadata"]["sums"] = "x"; }); });
       },
       kGoOn,
       66,
       {"metadata"}},
  };
}

}  // namespace cllm::testing
