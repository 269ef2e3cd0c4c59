#undef _FORTIFY_SOURCE  // its longjmp refuses to go to another stack
#include "device.h"

#include <setjmp.h>
#include <ucontext.h>

#include <exception>
#include <memory>
#include <mutex>
#include <stdexcept>
#include <utility>
#include <vector>

namespace on_host {
namespace {

constexpr size_t kStackBytes = 64 << 10;
constexpr size_t kWarp = 32;

/// Runs one kernel after the other on a stack of its own. swapcontext asks the system twice for every change of fibres,
/// which costs more than a kernel; so a fibre starts by its context and goes on by jumps.
struct Fibre {
  ucontext_t context;
  jmp_buf here;
  std::unique_ptr<char[]> stack{new char[kStackBytes]};
  Thread thread;
  bool started = false, done = false;
};

/// The block that runs now. One block at a time, one fibre at a time.
struct Block {
  std::vector<Fibre> fibres;
  std::vector<uint64_t> words;
  size_t size = 0, running = 0;
  jmp_buf scheduler;
  const std::function<void()>* kernel = nullptr;
  std::exception_ptr error;
};

Block& block() {
  static Block the;
  return the;
}

/// From the running fibre to the scheduler; returns when it is resumed.
void leave() {
  Block& b = block();
  if (_setjmp(b.fibres[b.running].here) == 0) _longjmp(b.scheduler, 1);
}

void enter() {
  for (;;) {
    Block& b = block();
    try {
      (*b.kernel)();
    } catch (...) {
      b.error = std::current_exception();
    }
    b.fibres[b.running].done = true;
    leave();
  }
}

/// Returns when the fibre leaves.
void resume(Fibre& fibre) {
  if (_setjmp(block().scheduler) != 0) return;
  if (fibre.started) _longjmp(fibre.here, 1);
  fibre.started = true;
  getcontext(&fibre.context);
  fibre.context.uc_stack.ss_sp = fibre.stack.get();
  fibre.context.uc_stack.ss_size = kStackBytes;
  fibre.context.uc_link = nullptr;
  makecontext(&fibre.context, enter, 0);
  setcontext(&fibre.context);
}

/// Runs all fibres from barrier to barrier until all are done, the last one first if `reversed`: a missing barrier
/// shows in one of the two orders.
void run_block(bool reversed) {
  Block& b = block();
  for (size_t left = b.size; left > 0;) {
    left = 0;
    for (size_t turn = 0; turn < b.size; ++turn) {
      b.running = reversed ? b.size - 1 - turn : turn;
      Fibre& fibre = b.fibres[b.running];
      if (fibre.done) continue;
      resume(fibre);
      if (b.error) std::rethrow_exception(std::exchange(b.error, nullptr));
      left += !fibre.done;
    }
    if (left != 0 && left != b.size) throw std::logic_error("a thread left the kernel while others wait at a barrier");
  }
}

}  // namespace

const Thread& current() { return block().fibres[block().running].thread; }

void barrier() { leave(); }

uint64_t exchange(uint64_t word, int lane) {
  Block& b = block();
  const size_t me = b.running;
  b.words[me] = word;
  barrier();
  const uint64_t other = b.words[(me / kWarp) * kWarp + (me % kWarp ^ static_cast<size_t>(lane))];
  barrier();
  return other;
}

void run(int64_t blocks, int64_t x, int64_t y, const std::function<void()>& kernel) {
  static std::mutex one_kernel;  // at a time; the ranks of a test may be threads
  const std::scoped_lock lock(one_kernel);
  Block& b = block();
  b.size = static_cast<size_t>(x * y);
  b.words.assign(b.size, 0);
  b.kernel = &kernel;
  if (b.fibres.size() < b.size) b.fibres = std::vector<Fibre>(b.size);
  try {
    for (int64_t n = 0; n < blocks; ++n) {
      for (size_t thread = 0; thread < b.size; ++thread) {
        const auto columns = static_cast<size_t>(x);
        b.fibres[thread].thread = {{static_cast<unsigned>(thread % columns), static_cast<unsigned>(thread / columns)},
                                   {static_cast<unsigned>(n)},
                                   {static_cast<unsigned>(x), static_cast<unsigned>(y), 1}};
        b.fibres[thread].done = false;
      }
      run_block(n % 2 == 1);
    }
  } catch (...) {
    b.fibres.clear();  // some are in the middle of the kernel
    throw;
  }
}

}  // namespace on_host
