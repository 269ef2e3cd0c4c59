// golden_parity DIR [--device cpu|cuda] [--families losses,forward,...]: reproduces the cases of a folder of golden
// files with the real training path, in fp64, fp32 and with a bf16 backbone, on any number of ranks. Prints a line per
// family and `N passed, N failed`; exit code 1 if anything failed.

#include <cstdio>
#include <exception>
#include <functional>
#include <string>

#include "dist/communicator/mpi_session.h"
#include "tests/golden/device_world.h"
#include "tests/golden/families.h"

namespace {

using namespace cllm;
using namespace cllm::golden;

struct Family {
  std::string name;
  std::function<void(GoldenSet&, ParityReport&)> check;
};

std::vector<Family> all_families(int world_size) {
  std::vector<Family> out{
      {"losses", [](auto& set, auto& report) { check_losses(set, report, ItemSoftmax::kSharded); }}};
  if (world_size > 1)
    out.push_back(
        {"losses-gathered", [](auto& set, auto& report) { check_losses(set, report, ItemSoftmax::kGathered); }});
  out.insert(out.end(), {{"forward", check_forward},
                         {"trajectories", check_trajectories},
                         {"adam", check_adam},
                         {"ranking", check_ranking}});
  for (const char* name :
       {"gpt2", "llama", "llama3_rope", "mistral", "qwen2", "qwen3", "gemma3", "t5_relu", "t5_gated_gelu", "bert"})
    out.push_back({std::string("arch/") + name, [name](auto& set, auto& report) { check_arch(set, report, name); }});
  return out;
}

struct Arguments {
  std::string dir, device = "cpu", families;
};

/// False: not understood.
bool parse(int argc, char** argv, Arguments& out) {
  if (argc < 2 || argc % 2 != 0) return false;
  out.dir = argv[1];
  for (int n = 2; n < argc; n += 2) {
    const std::string option = argv[n];
    if (option != "--families" && option != "--device") return false;
    (option == "--families" ? out.families : out.device) = argv[n + 1];
  }
  return true;
}

bool run(MpiSession& session, const Arguments& arguments) {
  const DeviceWorld world = open_device_world(session, arguments.device);
  const auto host = session.host();
  ParityReport report(*world.comm);
  for (const at::ScalarType dtype : {at::kDouble, at::kFloat, at::kBFloat16}) {
    GoldenSet set(arguments.dir, *world.comm, *host, dtype, world.device);
    for (const Family& family : all_families(session.world_size())) {
      if (set.is_bf16() && family.name == "adam") continue;  // has no backbone
      if (!arguments.families.empty() &&
          ("," + arguments.families + ",").find("," + family.name + ",") == std::string::npos)
        continue;
      report.begin(family.name + set.suffix());
      family.check(set, report);
      report.end();
    }
  }
  return report.close();
}

}  // namespace

int main(int argc, char** argv) {
  MpiSession session(&argc, &argv);
  Arguments arguments;
  if (!parse(argc, argv, arguments)) {
    if (session.rank() == 0) {
      std::fprintf(stderr,
                   "usage: golden_parity DIR [--device cpu|cuda] [--families "
                   "losses,forward,trajectories,adam,ranking,arch/gpt2,arch/llama,...]\n");
    }
    return 64;
  }
  try {
    return run(session, arguments) ? 0 : 1;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "golden_parity, rank %d: %s\n", session.rank(), error.what());
    session.abort(70);
  }
}
