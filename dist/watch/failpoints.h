#pragma once

#include <atomic>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace cllm {

/// Named places where a test lets a rank fail (names and actions: dist/README.md). Compiled in and off: a place then
/// costs one branch. The places are passed by several threads.
class Failpoints {
 public:
  /// All names, in the order of a run.
  static std::span<const std::string_view> names();

  /// Arms "NAME:ACTION[@N[+]][#RANK]" on this rank: at the N-th pass (1 by default; with '+' also at all later ones),
  /// on one rank or on all. NAME may be "all". Throws std::invalid_argument with what is wrong. Before other threads
  /// start.
  void arm(const std::string& text, int rank);

  bool armed() const { return !armed_.empty(); }

  /// To be called at the place of that name. True if the caller shall spoil its numbers (actions "nan", "flip"); other
  /// actions kill, stop, signal or delay the process, or throw std::runtime_error ("fail").
  bool at(std::string_view name) {
    if (armed_.empty()) [[likely]]
      return false;
    return pass(name);
  }

 private:
  struct Armed {
    std::string name, action;
    int64_t from = 1;
    bool onwards = false;
    std::unique_ptr<std::atomic<int64_t>> passes;
  };
  bool pass(std::string_view name);

  std::vector<Armed> armed_;
};

}  // namespace cllm
