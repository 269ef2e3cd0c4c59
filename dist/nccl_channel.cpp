#include "dist/nccl_channel.h"

#include <chrono>
#include <sstream>

#include "dist/errors.h"

namespace cllm {
namespace {

constexpr auto kWatchInterval = std::chrono::milliseconds(100);
constexpr double kCloseSeconds = 5;  // how long a destructor waits for a clean end before it aborts

}  // namespace

void check_nccl(ncclResult_t result, const std::string& what) {
  if (result == ncclSuccess || result == ncclInProgress) return;
  throw CommError(what + ": " + ncclGetErrorString(result) + " (" + ncclGetLastError(nullptr) + ")");
}

NcclChannel::NcclChannel(int rank, int world_size, std::string name, double deadline_s)
    : rank_(rank), world_size_(world_size), name_(std::move(name)), deadline_s_(deadline_s),
      stream_(c10::cuda::getStreamFromPool(/*isHighPriority=*/true)) {}

NcclChannel::NcclChannel(const ncclUniqueId& id, int rank, int world_size, std::string name, double deadline_s)
    : NcclChannel(rank, world_size, std::move(name), deadline_s) {
  ncclConfig_t settings = config();
  finish_call(ncclCommInitRankConfig(&comm_, world_size, id, rank, &settings), "start of communicator \"" + name_ + "\"");
  start_watchdog();
}

std::unique_ptr<NcclChannel> NcclChannel::split(std::string name) {
  check_health();
  auto channel = std::unique_ptr<NcclChannel>(new NcclChannel(rank_, world_size_, std::move(name), deadline_s_));
  ncclConfig_t settings = channel->config();
  const std::string title = "start of communicator \"" + channel->name_ + "\"";
  {
    const std::lock_guard lock(mutex_);
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
  ncclResult_t state = forget_finished() && pending_.empty() ? ncclCommFinalize(comm_) : ncclInternalError;
  for (Backoff clock; state == ncclInProgress && clock.elapsed_s() < kCloseSeconds; clock.pause()) {
    if (ncclCommGetAsyncError(comm_, &state) != ncclSuccess) state = ncclInternalError;
  }
  state == ncclSuccess ? ncclCommDestroy(comm_) : ncclCommAbort(comm_);
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
    const std::lock_guard lock(mutex_);
    if (!failure_.empty()) throw CommError(failure_);
    check_nccl(ncclCommGetAsyncError(comm_, &result), title);
    check_nccl(result, title);
    if (result == ncclInProgress && deadline_s_ > 0 && clock.elapsed_s() > deadline_s_) {
      ncclCommAbort(std::exchange(comm_, nullptr));
      failure_ = title + ", rank " + std::to_string(rank_) + " of " + std::to_string(world_size_) +
                 ": peers did not answer within " + std::to_string(deadline_s_) + " s";
      throw CommError(failure_);
    }
  }
}

std::shared_ptr<at::cuda::CUDAEvent> NcclChannel::start(const std::string& title, int64_t num_bytes, const Issue& issue) {
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
    if (comm_ != nullptr) inspect();
  }
}

/// Called with the mutex held.
void NcclChannel::inspect() {
  ncclResult_t state = ncclSuccess;
  if (ncclCommGetAsyncError(comm_, &state) != ncclSuccess) state = ncclInternalError;
  if (!forget_finished()) return fail("the GPU reports an error");
  if (state != ncclSuccess && state != ncclInProgress) return fail(std::string("NCCL reports: ") + ncclGetErrorString(state));
  if (!pending_.empty() && deadline_s_ > 0 && pending_.front().clock.elapsed_s() > deadline_s_) return fail("deadline");
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

/// Called with the mutex held. Operations end in the order of their start, so the first pending one is the culprit.
void NcclChannel::fail(const std::string& reason) {
  std::ostringstream text;
  if (pending_.empty()) {
    text << "communicator \"" << name_ << "\"";
  } else {
    const Pending& first = pending_.front();
    text << first.title << ", " << first.num_bytes << " bytes, after " << first.clock.elapsed_s() << " s";
  }
  text << ", rank " << rank_ << " of " << world_size_ << ": " << reason;
  failure_ = text.str();
  ncclCommAbort(std::exchange(comm_, nullptr));
}

}  // namespace cllm
