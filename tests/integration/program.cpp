#include "tests/integration/program.h"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>

namespace cllm::testing {

namespace fs = std::filesystem;

Finished run(const std::string& command) {
  FILE* const pipe = popen((command + " 2>&1").c_str(), "r");
  if (pipe == nullptr) return {-1, "popen failed"};
  Finished out;
  std::array<char, 4096> buffer;
  for (size_t n; (n = fread(buffer.data(), 1, buffer.size(), pipe)) > 0;) out.output.append(buffer.data(), n);
  const int status = pclose(pipe);
  out.code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  return out;
}

std::string program_path() {
  const char* const given = std::getenv("CLLM4REC");
  return given != nullptr ? given : std::string(CLLM_BINARY_DIR) + "/cllm4rec";
}

std::string cllm4rec(int ranks, const std::string& arguments) {
  const std::string program = program_path() + " ";
  if (ranks == 1) return "OMP_NUM_THREADS=1 " + program + arguments;
  return "OMP_NUM_THREADS=1 mpirun --allow-run-as-root --oversubscribe --mca mpi_yield_when_idle 1 --mca btl "
         "self,vader "
         "--bind-to none -n " +
         std::to_string(ranks) + " " + program + arguments;
}

const SmallWorld& small_world() {
  static const SmallWorld world = [] {
    const fs::path root = fs::temp_directory_path() / ("cllm_integration_" + std::to_string(getpid()));
    fs::remove_all(root);
    fs::create_directories(root);
    std::atexit([] { fs::remove_all(fs::temp_directory_path() / ("cllm_integration_" + std::to_string(getpid()))); });
    const SmallWorld made{root, root / "corpus", root / "backbone"};
    const std::string data = (root / "data").string();
    for (const std::string& arguments :
         {"demo-data " + data + " --users 120 --items 50",
          "prepare --input " + data + " --output " + made.corpus.string() + " --train-tokenizer 400",
          "pretrain-backbone --corpus " + made.corpus.string() + " --output " + made.backbone.string() +
              " --layers 1 --heads 2 --width 16 --positions 128 --context 64 --blocks 8 --epochs 1"}) {
      const Finished finished = run(cllm4rec(1, arguments));
      EXPECT_EQ(finished.code, 0) << arguments << "\n" << finished.output;
    }
    return made;
  }();
  return world;
}

fs::path fresh_dir(const std::string& name) {
  const fs::path dir = small_world().root / name;
  fs::remove_all(dir);
  return dir;
}

std::vector<double> losses_of(const fs::path& dir) {
  std::ifstream in(dir / "metrics.jsonl");
  std::vector<double> out;
  for (std::string line; std::getline(in, line);) {
    const auto record = nlohmann::json::parse(line);
    if (record.at("event") != "step") continue;
    for (const auto& [key, value] : record.items()) {
      if (key.ends_with("/loss")) out.push_back(value.get<double>());
    }
  }
  return out;
}

std::string read_file(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  EXPECT_TRUE(in.good()) << path;
  std::ostringstream text;
  text << in.rdbuf();
  return text.str();
}

std::string fingerprint(const fs::path& dir) {
  const Finished exported = run(cllm4rec(1, "export --overwrite " + dir.string()));
  EXPECT_EQ(exported.code, 0) << exported.output;
  return read_file(dir / "metrics.jsonl") + read_file(dir / "result.json") +
         read_file(dir / "export" / "embeddings.safetensors");
}

}  // namespace cllm::testing
