#include "dist/communicator/nccl_channel.h"

#include <chrono>
#include <future>
#include <sstream>
#include <utility>

#include "dist/errors.h"

namespace cllm {
namespace {

constexpr auto kWatchInterval = std::chrono::milliseconds(100);
constexpr double kCloseSeconds = 5;  // how long an end in order may take, and how long an abort

/// Runs `end` for at most so long: NCCL may hang where a peer, a driver or a network does. If it does not return, its
/// thread is left to the end of the process. NCCL itself chooses the device in it.
void run_for_at_most(double seconds, std::function<void()> end) {
  auto done = std::make_shared<std::promise<void>>();
  const std::future<void> ended = done->get_future();
  std::thread([end = std::move(end), done] {
    end();
    done->set_value();
  }).detach();
  ended.wait_for(std::chrono::duration<double>(seconds));
}

/// In order if the communicator is idle and its peers answer, otherwise by an abort.
void end_communicator(ncclComm_t comm, bool idle) {
  ncclResult_t state = idle ? ncclCommFinalize(comm) : ncclInternalError;
  for (Backoff clock; state == ncclInProgress && clock.elapsed_s() < kCloseSeconds; clock.pause()) {
    if (ncclCommGetAsyncError(comm, &state) != ncclSuccess) state = ncclInternalError;
  }
  state == ncclSuccess ? ncclCommDestroy(comm) : ncclCommAbort(comm);
}

}  // namespace

void check_nccl(ncclResult_t result, const std::string& what) {
  if (result == ncclSuccess || result == ncclInProgress) return;
  throw CommError(what + ": " + ncclGetErrorString(result) + " (" + ncclGetLastError(nullptr) + ")");
}

NcclChannel::NcclChannel(int rank, int world_size, std::string name, double deadline_s, Activity* stalls)
    : rank_(rank), world_size_(world_size), name_(std::move(name)), deadline_s_(deadline_s), stalls_(stalls),
      stream_(c10::cuda::getStreamFromPool(/*isHighPriority=*/true)) {}

NcclChannel::NcclChannel(const ncclUniqueId& id, int rank, int world_size, std::string name, double deadline_s,
                         Activity* stalls)
    : NcclChannel(rank, world_size, std::move(name), deadline_s, stalls) {
  ncclConfig_t settings = config();
  finish_call(ncclCommInitRankConfig(&comm_, world_size, id, rank, &settings),
              "start of communicator \"" + name_ + "\"");
  start_watchdog();
}

std::unique_ptr<NcclChannel> NcclChannel::split(std::string name) {
  check_health();
  auto channel =
      std::unique_ptr<NcclChannel>(new NcclChannel(rank_, world_size_, std::move(name), deadline_s_, stalls_));
  ncclConfig_t settings = channel->config();
  const std::string title = "start of communicator \"" + channel->name_ + "\"";
  {
    const std::lock_guard lock(mutex_);
    if (!failure_.empty()) throw CommError(failure_);
    check_nccl(ncclCommSplit(comm_, /*color=*/0, rank_, &channel->comm_, &settings), title);
  }
  finish_call(ncclInProgress, title);
  channel->finish_call(ncclInProgress, title);
  channel->start_watchdog();
  return channel;
}

NcclChannel::~NcclChannel() {
  {
    const std::lock_guard lock(mutex_);
    closing_ = true;
  }
  changed_.notify_all();
  if (watchdog_.joinable()) watchdog_.join();
  if (comm_ == nullptr) return;
  const bool idle = failure_.empty() && forget_finished() && pending_.empty();
  run_for_at_most(2 * kCloseSeconds, [comm = comm_, idle] { end_communicator(comm, idle); });
}

ncclConfig_t NcclChannel::config() const {
  ncclConfig_t config = NCCL_CONFIG_INITIALIZER;
  config.blocking = 0;
  config.commName = name_.c_str();
  return config;
}

/// Polls until the communicator has accepted a non-blocking call.
void NcclChannel::finish_call(ncclResult_t result, const std::string& title) {
  check_nccl(result, title);
  Backoff clock;
  while (result == ncclInProgress) {
    clock.pause();
    std::unique_lock lock(mutex_);
    if (!failure_.empty()) throw CommError(failure_);
    check_nccl(ncclCommGetAsyncError(comm_, &result), title);
    if (result != ncclSuccess && result != ncclInProgress) {
      fail(lock, title + ranks() + ": " + ncclGetErrorString(result) + " (" + ncclGetLastError(nullptr) + ")");
    } else if (result == ncclInProgress && deadline_s_ > 0 && clock.elapsed_s() > deadline_s_) {
      fail(lock, title + ranks() + ": peers did not answer within " + std::to_string(deadline_s_) + " s");
    }
    if (!lock.owns_lock()) throw CommError(failure_);
  }
}

std::shared_ptr<at::cuda::CUDAEvent> NcclChannel::start(const std::string& title, int64_t num_bytes,
                                                        const Issue& issue) {
  check_health();
  at::cuda::CUDAEvent ready;
  ready.record(c10::cuda::getCurrentCUDAStream());
  ready.block(stream_);
  ncclResult_t result = ncclSuccess;
  {
    const std::lock_guard lock(mutex_);
    if (!failure_.empty()) throw CommError(failure_);
    check_nccl(ncclGroupStart(), title);
    try {
      issue(comm_, stream_.stream());
    } catch (...) {
      ncclGroupEnd();
      throw;
    }
    result = ncclGroupEnd();
  }
  finish_call(result, title);
  auto end = std::make_shared<at::cuda::CUDAEvent>();
  end->record(stream_);
  const std::lock_guard lock(mutex_);
  forget_finished();
  pending_.push_back({title, num_bytes, end, {}});
  return end;
}

void NcclChannel::block_current_stream(at::cuda::CUDAEvent& event) {
  const c10::cuda::CUDAStream stream = c10::cuda::getCurrentCUDAStream();
  if (stalls_ == nullptr) return event.block(stream);
  count_stalls();
  Stall& stall = open_stalls_.emplace_back();
  stall.begin.record(stream);
  event.block(stream);
  stall.end.record(stream);
}

/// Those that are over: the host does not wait for the others.
void NcclChannel::count_stalls() {
  while (!open_stalls_.empty() && open_stalls_.front().end.query()) {
    constexpr double kSecondsPerMs = 1e-3;
    stalls_->add_stall(kSecondsPerMs * open_stalls_.front().begin.elapsed_time(open_stalls_.front().end));
    open_stalls_.pop_front();
  }
}

void NcclChannel::wait_on_host(const at::cuda::CUDAEvent& event) {
  for (Backoff clock; !event.query(); clock.pause()) check_health();
  check_health();
}

void NcclChannel::check_health() {
  const std::lock_guard lock(mutex_);
  if (!failure_.empty()) throw CommError(failure_);
}

void NcclChannel::start_watchdog() {
  watchdog_ = std::thread([this, device = c10::cuda::current_device()] {
    c10::cuda::set_device(device);
    watch();
  });
}

void NcclChannel::watch() {
  std::unique_lock lock(mutex_);
  while (!changed_.wait_for(lock, kWatchInterval, [this] { return closing_; })) {
    if (comm_ == nullptr) return;
    if (const std::string problem = inspect(); !problem.empty()) return fail(lock, problem);
  }
}

/// What is wrong; empty: nothing. Called with the mutex held.
std::string NcclChannel::inspect() {
  ncclResult_t state = ncclSuccess;
  if (ncclCommGetAsyncError(comm_, &state) != ncclSuccess) state = ncclInternalError;
  std::string reason;
  if (!forget_finished()) {
    reason = "the GPU reports an error";
  } else if (state != ncclSuccess && state != ncclInProgress) {
    reason = std::string("NCCL reports: ") + ncclGetErrorString(state);
  } else if (!pending_.empty() && deadline_s_ > 0 && pending_.front().clock.elapsed_s() > deadline_s_) {
    reason = "deadline";
  } else {
    return "";
  }
  std::ostringstream text;
  if (pending_.empty()) {
    text << "communicator \"" << name_ << "\"";
  } else {  // operations end in the order of their start: the first is the culprit
    const Pending& first = pending_.front();
    text << first.title << ", " << first.num_bytes << " bytes, after " << first.clock.elapsed_s() << " s";
  }
  return text.str() + ranks() + ": " + reason;
}

std::string NcclChannel::ranks() const {
  return ", rank " + std::to_string(rank_) + " of " + std::to_string(world_size_);
}

/// Called with the mutex held. False if the device has failed.
bool NcclChannel::forget_finished() {
  try {
    while (!pending_.empty() && pending_.front().end->query()) pending_.pop_front();
    return true;
  } catch (const std::exception&) {
    return false;
  }
}

/// Ends the communicator for good. Called with the lock held, returns without it: others see the failure while NCCL
/// aborts.
void NcclChannel::fail(std::unique_lock<std::mutex>& lock, std::string failure) {
  failure_ = std::move(failure);
  const ncclComm_t comm = std::exchange(comm_, nullptr);
  lock.unlock();
  run_for_at_most(kCloseSeconds, [comm] { ncclCommAbort(comm); });
}

}  // namespace cllm
