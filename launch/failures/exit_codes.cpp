#include "launch/failures/exit_codes.h"

#include <c10/util/Exception.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <system_error>

#include "checkpoints/errors.h"
#include "data/errors.h"
#include "dist/errors.h"
#include "launch/failures/errors.h"
#include "model/errors.h"

namespace cllm {
namespace {

/// Whether it is the disk that is at fault: full, over quota, failing.
bool is_disk_trouble(std::error_code code) {
  return code.value() == ENOSPC || code.value() == EDQUOT || code.value() == EIO || code.value() == ESTALE;
}

int code_of(const std::exception_ptr& error, std::string& text) {
  try {
    std::rethrow_exception(error);
  } catch (const ConfigError& e) {
    text = e.what();
    return kBadConfiguration;
  } catch (const OptionError& e) {
    text = e.what();
    return kBadConfiguration;
  } catch (const NoProgressError& e) {
    text = e.what();
    return kNoProgress;
  } catch (const DataError& e) {
    text = e.what();
    return kBadData;
  } catch (const ModelError& e) {
    text = e.what();
    return kBadData;
  } catch (const CheckpointError& e) {
    text = e.what();
    return e.exit_code();
  } catch (const DeviceError& e) {
    text = e.what();
    return kBadConfiguration;
  } catch (const CommError& e) {
    text = e.what();
    return kPeerLost;
  } catch (const c10::OutOfMemoryError& e) {
    text = std::string("the GPU's memory is full: choose smaller batch.groups or batch.max_items, or more ranks; ") +
           e.what_without_backtrace();
    return kBadConfiguration;
  } catch (const std::filesystem::filesystem_error&
               e) {  // no permission, a name too long, a folder for a file: names the path
    text = e.what();
    return is_disk_trouble(e.code()) ? kSaveFailed : kBadConfiguration;
  } catch (const std::system_error& e) {  // of AppendFile; threads that cannot be started throw it as well
    text = e.what();
    if (e.code() != std::errc::resource_unavailable_try_again) return kSaveFailed;
  } catch (const std::exception& e) {
    text = std::string("internal error: ") + e.what();
  } catch (...) {
    text = "internal error: unknown exception";
  }
  return kInternalError;
}

}  // namespace

int exit_code_of(const std::exception_ptr& error, std::string& line) {
  const int code = code_of(error, line);
  // Messages quote what came from outside: no line end, no escape sequence may reach the terminal.
  std::ranges::replace_if(
      line, [](unsigned char c) { return c < 0x20 || c == 0x7F; }, ' ');
  return code;
}

}  // namespace cllm
