// golden_parity DIR [--families losses,forward,...]: reproduces the cases of a folder of golden files with the real training path, in
// fp64 and fp32, on any number of ranks. Prints a line per family and `N passed, N failed`; exit code 1 if anything failed.

#include <cstdio>
#include <exception>
#include <functional>
#include <string>

#include "dist/mpi_session.h"
#include "tests/golden/families.h"

namespace {

using namespace cllm;
using namespace cllm::golden;

struct Family {
  std::string name;
  std::function<void(GoldenSet&, ParityReport&)> check;
};

std::vector<Family> all_families(int world_size) {
  std::vector<Family> out{{"losses", [](auto& set, auto& report) { check_losses(set, report, ItemSoftmax::kSharded); }}};
  if (world_size > 1)
    out.push_back({"losses-gathered", [](auto& set, auto& report) { check_losses(set, report, ItemSoftmax::kGathered); }});
  out.insert(out.end(), {{"forward", check_forward},
                         {"trajectories", check_trajectories},
                         {"adam", check_adam},
                         {"ranking", check_ranking},
                         {"arch/gpt2", check_arch}});
  return out;
}

bool run(MpiSession& session, const std::string& dir, const std::string& wanted) {
  const auto comm = session.world(), host = session.host();
  ParityReport report(*comm);
  for (const at::ScalarType dtype : {at::kDouble, at::kFloat}) {
    GoldenSet set(dir, *comm, *host, dtype);
    for (const Family& family : all_families(session.world_size())) {
      if (!wanted.empty() && ("," + wanted + ",").find("," + family.name + ",") == std::string::npos) continue;
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
  const bool has_families = argc == 4 && std::string(argv[2]) == "--families";
  if (argc != 2 && !has_families) {
    if (session.rank() == 0)
      std::fprintf(stderr, "usage: golden_parity DIR [--families losses,forward,trajectories,adam,ranking,arch/gpt2]\n");
    return 64;
  }
  try {
    return run(session, argv[1], has_families ? argv[3] : "") ? 0 : 1;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "golden_parity, rank %d: %s\n", session.rank(), error.what());
    session.abort(70);
  }
}
