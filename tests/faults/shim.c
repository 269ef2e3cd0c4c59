// For LD_PRELOAD: lets chosen system calls fail, and records every change that the program makes to the file system.
//   CLLM_SHIM_UNDER=/folder          concerns only paths below it
//   CLLM_SHIM_FAIL=fsync:EIO:3       the third fsync fails with EIO; "3+": all later ones too; "write:short:3" writes
//                                    half
//   CLLM_SHIM_SIGNAL=10              the program gets that signal before its main()
//   CLLM_SHIM_LOG=/file              /file.PID: one line per change that was made, fields parted by tabs, in order;
//                                    behind a write its bytes
// Calls: open (that writes or creates), write, fsync, close, rename, link, unlink, mkdir, truncate. The system is
// called directly, so nothing here depends on which variant of a function the program, libstdc++ or HDF5 uses. What
// stdio writes is not seen, only that it opens.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

typedef char Path[PATH_MAX];

static const struct {
  const char* name;
  int number;
} kErrors[] = {{"ENOSPC", ENOSPC}, {"EDQUOT", EDQUOT}, {"EIO", EIO},     {"ESTALE", ESTALE},
               {"EINTR", EINTR},   {"EACCES", EACCES}, {"EROFS", EROFS}, {"short", -1}};

static const char* under = NULL;  // NULL: not set up yet
static char failing_call[16];
static int failing_error;
static long failing_from, passes;
static bool failing_onwards;
static int log_file = -1;
/// Held over the call, so that the record has the order of the calls.
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

/// What CLLM_SHIM_FAIL says, from now on; "none": nothing fails. For programs that ask for it themselves.
void shim_fail(const char* what) {
  char error[16] = "", from[16] = "";
  pthread_mutex_lock(&lock);
  failing_error = 0;
  passes = 0;
  if (strcmp(what, "none") != 0) {
    if (sscanf(what, "%15[^:]:%15[^:]:%15s", failing_call, error, from) != 3) abort();
    for (size_t n = 0; n < sizeof(kErrors) / sizeof(kErrors[0]); ++n) {
      if (strcmp(kErrors[n].name, error) == 0) failing_error = kErrors[n].number;
    }
    failing_from = strtol(from, NULL, 10);
    failing_onwards = strchr(from, '+') != NULL;
    if (failing_error == 0 || failing_from == 0) abort();
  }
  pthread_mutex_unlock(&lock);
}

__attribute__((constructor)) static void set_up(void) {
  const char* what = getenv("CLLM_SHIM_FAIL");
  if (what != NULL) shim_fail(what);
  const char* log = getenv("CLLM_SHIM_LOG");
  if (log != NULL) {
    Path name;
    snprintf(name, sizeof name, "%s.%d", log, (int)getpid());
    log_file = (int)syscall(SYS_openat, AT_FDCWD, name, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
    if (log_file < 0) abort();
  }
  under = getenv("CLLM_SHIM_UNDER");
  if (under == NULL) under = "/";
  const char* number = getenv("CLLM_SHIM_SIGNAL");
  if (number != NULL) kill(getpid(), atoi(number));
}

static bool concerns(const char* path) {
  return under != NULL && path[0] == '/' && strncmp(path, under, strlen(under)) == 0;
}

/// 0, or the error that this call shall meet; -1: a short write.
static int fault(const char* call, const char* path) {
  if (failing_error == 0 || strcmp(call, failing_call) != 0 || !concerns(path)) return 0;
  ++passes;
  return passes == failing_from || (failing_onwards && passes > failing_from) ? failing_error : 0;
}

static void put(const void* bytes, size_t count) {
  if (syscall(SYS_write, log_file, bytes, count) != (long)count) abort();
}

static void record(const char* call, const char* path, const char* other, long offset, long count, const void* bytes) {
  static char line[2 * PATH_MAX + 100];
  if (log_file < 0 || !concerns(path)) return;
  const int length = snprintf(line, sizeof line, "%s\t%s\t%s\t%ld\t%ld\n", call, path, other, offset, count);
  put(line, (size_t)length);
  if (bytes != NULL) put(bytes, (size_t)count);
}

static void path_of(int file, char* path) {
  char link[40];
  snprintf(link, sizeof link, "/proc/self/fd/%d", file);
  const long length = syscall(SYS_readlinkat, AT_FDCWD, link, path, sizeof(Path) - 1);
  path[length < 0 ? 0 : length] = '\0';
}

static void absolute(int directory, const char* name, char* path) {
  path[0] = '\0';
  if (name[0] != '/') {
    if (directory == AT_FDCWD) {
      if (getcwd(path, sizeof(Path)) == NULL) path[0] = '\0';
    } else {
      path_of(directory, path);
    }
    strncat(path, "/", sizeof(Path) - strlen(path) - 1);
  }
  strncat(path, name, sizeof(Path) - strlen(path) - 1);
}

/// The value of `call_it`, or -1 with the errno that was asked for; what was done is recorded by `record_it`.
#define CHANGE(call, path, call_it, record_it)           \
  __extension__({                                        \
    pthread_mutex_lock(&lock);                           \
    const int fault_ = fault(call, path);                \
    long result_ = -1;                                   \
    if (fault_ == 0) result_ = (call_it);                \
    const int error_ = fault_ == 0 ? errno : fault_;     \
    if (result_ >= 0) record_it;                         \
    pthread_mutex_unlock(&lock);                         \
    errno = error_;                                      \
    result_;                                             \
  })

static int open_at(int directory, const char* name, int flags, mode_t mode) {
  if ((flags & (O_ACCMODE | O_CREAT | O_TRUNC)) == O_RDONLY) {
    return (int)syscall(SYS_openat, directory, name, flags, mode);
  }
  Path path;
  absolute(directory, name, path);
  struct stat before;
  const bool creates = (flags & O_CREAT) && stat(path, &before) != 0;
  const char* how = creates ? "created" : (flags & O_TRUNC) ? "emptied" : "opened";
  return (int)CHANGE("open", path, syscall(SYS_openat, directory, name, flags, mode),
                     record("open", path, how, 0, 0, NULL));
}

#define WITH_MODE(flags)                      \
  mode_t mode = 0;                            \
  if ((flags) & (O_CREAT | __O_TMPFILE)) {    \
    va_list rest;                             \
    va_start(rest, flags);                    \
    mode = va_arg(rest, mode_t);              \
    va_end(rest);                             \
  }

int open(const char* name, int flags, ...) {
  WITH_MODE(flags)
  return open_at(AT_FDCWD, name, flags, mode);
}
int open64(const char* name, int flags, ...) {
  WITH_MODE(flags)
  return open_at(AT_FDCWD, name, flags, mode);
}
int openat(int directory, const char* name, int flags, ...) {
  WITH_MODE(flags)
  return open_at(directory, name, flags, mode);
}
int openat64(int directory, const char* name, int flags, ...) {
  WITH_MODE(flags)
  return open_at(directory, name, flags, mode);
}
int creat(const char* name, mode_t mode) { return open_at(AT_FDCWD, name, O_WRONLY | O_CREAT | O_TRUNC, mode); }

static FILE* open_stream(const char* function, const char* name, const char* how) {
  FILE* (*real)(const char*, const char*) = (FILE * (*)(const char*, const char*)) dlsym(RTLD_NEXT, function);
  if (how[0] == 'r' && strchr(how, '+') == NULL) return real(name, how);
  Path path;
  absolute(AT_FDCWD, name, path);
  FILE* stream = NULL;
  CHANGE("open", path, (stream = real(name, how)) != NULL ? 0 : -1, record("open", path, "stream", 0, 0, NULL));
  return stream;
}
FILE* fopen(const char* name, const char* how) { return open_stream("fopen", name, how); }
FILE* fopen64(const char* name, const char* how) { return open_stream("fopen64", name, how); }

/// At the file's own position if `offset` is negative.
static ssize_t system_write(int file, const void* bytes, size_t count, long offset) {
  return offset < 0 ? syscall(SYS_write, file, bytes, count) : syscall(SYS_pwrite64, file, bytes, count, offset);
}

static ssize_t write_at(int file, const void* bytes, size_t count, long offset) {
  Path path;
  path_of(file, path);
  if (!concerns(path)) return system_write(file, bytes, count, offset);
  pthread_mutex_lock(&lock);
  const int error = fault("write", path);
  if (error < 0) count = (count + 1) / 2;
  const long where = offset < 0 ? lseek(file, 0, SEEK_CUR) : offset;
  ssize_t done = -1;
  if (error <= 0) done = system_write(file, bytes, count, offset);
  const int saved = error > 0 ? error : errno;
  if (done > 0) record("write", path, "", where, done, bytes);
  pthread_mutex_unlock(&lock);
  errno = saved;
  return done;
}
ssize_t write(int file, const void* bytes, size_t count) { return write_at(file, bytes, count, -1); }
ssize_t pwrite(int file, const void* bytes, size_t count, off_t offset) { return write_at(file, bytes, count, offset); }
ssize_t pwrite64(int file, const void* bytes, size_t count, off64_t offset) {
  return write_at(file, bytes, count, offset);
}
/// libstdc++ writes long strings so: buffer and string.
ssize_t writev(int file, const struct iovec* parts, int num_parts) {
  ssize_t sum = 0;
  for (int n = 0; n < num_parts; ++n) {
    const ssize_t done = parts[n].iov_len == 0 ? 0 : write_at(file, parts[n].iov_base, parts[n].iov_len, -1);
    if (done < 0) return sum > 0 ? sum : -1;
    sum += done;
    if (done < (ssize_t)parts[n].iov_len) break;
  }
  return sum;
}

static int sync_it(int file, long number) {
  Path path;
  path_of(file, path);
  return (int)CHANGE("fsync", path, syscall(number, file), record("fsync", path, "", 0, 0, NULL));
}
int fsync(int file) { return sync_it(file, SYS_fsync); }
int fdatasync(int file) { return sync_it(file, SYS_fdatasync); }

/// A close that fails has closed the file all the same, as on Linux.
int close(int file) {
  if (failing_error == 0 || strcmp(failing_call, "close") != 0) return (int)syscall(SYS_close, file);
  Path path;
  path_of(file, path);
  const int error = fault("close", path);
  const int result = (int)syscall(SYS_close, file);
  if (error == 0) return result;
  errno = error;
  return -1;
}

int renameat2(int from_directory, const char* from, int to_directory, const char* to, unsigned flags) {
  Path source, target;
  absolute(from_directory, from, source);
  absolute(to_directory, to, target);
  return (int)CHANGE("rename", source, syscall(SYS_renameat2, from_directory, from, to_directory, to, flags),
                     record(flags & RENAME_EXCHANGE ? "exchange" : "rename", source, target, 0, 0, NULL));
}
int renameat(int from_directory, const char* from, int to_directory, const char* to) {
  return renameat2(from_directory, from, to_directory, to, 0);
}
int rename(const char* from, const char* to) { return renameat2(AT_FDCWD, from, AT_FDCWD, to, 0); }

int linkat(int from_directory, const char* from, int to_directory, const char* to, int flags) {
  Path source, target;
  absolute(from_directory, from, source);
  absolute(to_directory, to, target);
  return (int)CHANGE("link", target, syscall(SYS_linkat, from_directory, from, to_directory, to, flags),
                     record("link", target, source, 0, 0, NULL));
}
int link(const char* from, const char* to) { return linkat(AT_FDCWD, from, AT_FDCWD, to, 0); }

int unlinkat(int directory, const char* name, int flags) {
  Path path;
  absolute(directory, name, path);
  return (int)CHANGE("unlink", path, syscall(SYS_unlinkat, directory, name, flags),
                     record("unlink", path, "", 0, 0, NULL));
}
int unlink(const char* name) { return unlinkat(AT_FDCWD, name, 0); }
int rmdir(const char* name) { return unlinkat(AT_FDCWD, name, AT_REMOVEDIR); }
int remove(const char* name) {
  struct stat found;
  return unlinkat(AT_FDCWD, name, lstat(name, &found) == 0 && S_ISDIR(found.st_mode) ? AT_REMOVEDIR : 0);
}

int mkdirat(int directory, const char* name, mode_t mode) {
  Path path;
  absolute(directory, name, path);
  return (int)CHANGE("mkdir", path, syscall(SYS_mkdirat, directory, name, mode), record("mkdir", path, "", 0, 0, NULL));
}
int mkdir(const char* name, mode_t mode) { return mkdirat(AT_FDCWD, name, mode); }

static int truncate_it(const char* path, long size, int file) {
  return (int)CHANGE("truncate", path,
                     file >= 0 ? syscall(SYS_ftruncate, file, size) : syscall(SYS_truncate, path, size),
                     record("truncate", path, "", size, 0, NULL));
}
int ftruncate(int file, off_t size) {
  Path path;
  path_of(file, path);
  return truncate_it(path, size, file);
}
int ftruncate64(int file, off64_t size) { return ftruncate(file, size); }
int truncate(const char* name, off_t size) {
  Path path;
  absolute(AT_FDCWD, name, path);
  return truncate_it(path, size, -1);
}
int truncate64(const char* name, off64_t size) { return truncate(name, size); }
