#include "dist/watch/failpoints.h"

#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <stdexcept>
#include <thread>

namespace cllm {
namespace {

// clang-format off
constexpr std::string_view kNames[] = {
    "start.configured", "start.opened", "load.before_find", "load.before_read", "load.after_read", "start.before_first_step",
    "step.before_meeting", "step.after_meeting", "step.before_compute", "step.after_compute", "step.before_record", "step.after_record",
    "exchange.all_reduce", "exchange.all_gather", "exchange.all_to_all",
    "segment.before_finish", "validation.before", "validation.batch", "validation.after",
    "save.before_snapshot", "save.after_snapshot", "save.before_draft", "save.before_link", "save.before_shard", "save.while_writing",
    "save.before_sync_shard", "save.after_sync_shard", "save.before_manifest", "save.before_sync_manifest", "save.before_sync_folder",
    "save.before_rename", "save.after_rename", "save.before_sync_parent", "save.before_pin", "save.before_latest", "save.before_remove",
    "save.while_removing",
    "end.before_save", "end.before_test", "end.after_test"};
// clang-format on

constexpr std::string_view kActions[] = {"kill", "segv", "abort", "exit", "stop",  "term",
                                         "usr1", "fail", "nan",   "flip", "delay", "log"};

int64_t number_in(std::string_view text, const std::string& whole) {
  int64_t value = 0;
  const auto [stop, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || stop != text.data() + text.size() || value < 0) {
    throw std::invalid_argument("failpoint \"" + whole + "\": \"" + std::string(text) + "\" is no number");
  }
  return value;
}

/// What stands behind the last `mark`; it is cut off. Empty if there is none.
std::string_view cut_off(std::string_view& text, char mark) {
  const size_t position = text.rfind(mark);
  if (position == std::string_view::npos) return {};
  const std::string_view behind = text.substr(position + 1);
  text = text.substr(0, position);
  return behind;
}

/// "delay50" waits for 50 ms. Returns true for "nan" and "flip".
bool act(std::string_view action, std::string_view name) {
  if (action == "kill") ::kill(::getpid(), SIGKILL);
  if (action == "segv") ::raise(SIGSEGV);
  if (action == "abort") std::abort();
  if (action == "exit") ::_exit(3);
  if (action == "stop") ::kill(::getpid(), SIGSTOP);
  if (action == "term") ::kill(::getpid(), SIGTERM);
  if (action == "usr1") ::kill(::getpid(), SIGUSR1);
  if (action == "fail") throw std::runtime_error("failpoint " + std::string(name) + ": Input/output error");
  if (action == "log") std::fprintf(stderr, "failpoint %.*s passed\n", static_cast<int>(name.size()), name.data());
  if (action.starts_with("delay"))
    std::this_thread::sleep_for(std::chrono::milliseconds(number_in(action.substr(5), std::string(action))));
  return action == "nan" || action == "flip";
}

}  // namespace

std::span<const std::string_view> Failpoints::names() { return kNames; }

void Failpoints::arm(const std::string& text, int rank) {
  std::string_view rest = text;
  const std::string_view on_rank = cut_off(rest, '#');
  std::string_view count = cut_off(rest, '@');
  const std::string_view action = cut_off(rest, ':');
  const bool onwards = count.ends_with('+');
  if (onwards) count.remove_suffix(1);
  const bool known = std::ranges::any_of(
      kActions, [&](std::string_view one) { return one == "delay" ? action.starts_with(one) : action == one; });
  if (!known)
    throw std::invalid_argument("failpoint \"" + text +
                                "\": write NAME:ACTION[@N[+]][#RANK] with kill, segv, abort, exit, stop, term, usr1, "
                                "fail, nan, flip, log or delay<ms>");
  if (rest != "all" && std::ranges::find(kNames, rest) == std::end(kNames)) {
    throw std::invalid_argument("failpoint \"" + text + "\": there is no place \"" + std::string(rest) +
                                "\"; see --list-failpoints");
  }
  if (action.starts_with("delay")) number_in(action.substr(5), text);
  const int64_t from = count.empty() ? 1 : number_in(count, text);
  if (!on_rank.empty() && number_in(on_rank, text) != rank) return;
  const auto add = [&](std::string_view name) {
    armed_.push_back(
        {std::string(name), std::string(action), from, onwards, std::make_unique<std::atomic<int64_t>>(0)});
  };
  if (rest != "all") return add(rest);
  for (const std::string_view name : kNames) add(name);
}

bool Failpoints::pass(std::string_view name) {
  bool spoil = false;
  for (const Armed& armed : armed_) {
    if (armed.name != name) continue;
    const int64_t passes = ++*armed.passes;
    if (passes == armed.from || (armed.onwards && passes > armed.from)) spoil = act(armed.action, name) || spoil;
  }
  return spoil;
}

}  // namespace cllm
