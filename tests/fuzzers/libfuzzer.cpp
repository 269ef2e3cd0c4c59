// One program for all fuzzers: libFuzzer passes over arguments that begin with two dashes, so --target=NAME is ours.

#include <cstdint>
#include <cstdio>
#include <cstdlib>

#include "tests/fuzzers/targets.h"

namespace {
void (*run)(std::string_view) = nullptr;
}

extern "C" int LLVMFuzzerInitialize(int* argc, char*** argv) {
  constexpr std::string_view kOption = "--target=";
  for (int n = 1; n < *argc; ++n) {
    const std::string_view argument((*argv)[n]);
    if (!argument.starts_with(kOption)) continue;
    for (const auto& target : cllm::fuzz::targets()) {
      if (target.name == argument.substr(kOption.size())) run = target.run;
    }
  }
  if (run != nullptr) return 0;
  std::fprintf(stderr, "--target=NAME must be one of:\n");
  for (const auto& target : cllm::fuzz::targets()) std::fprintf(stderr, "%s\n", target.name.c_str());
  std::exit(2);
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  run({reinterpret_cast<const char*>(data), size});
  return 0;
}
