/* Preloaded into a node by the tests: makes the disk fail, writes down what is asked of it, moves the time of day.
 *
 * FAULT=sync:N        the N-th sync of a ledger file fails with EIO, and every one after it
 * FAULT=sync-once:N   only the N-th
 * FAULT=write:N:NAME  every write to a ledger file from the N-th on fails with ENOSPC, EROFS or EIO; with EROFS the lock file
 *                     cannot be opened for writing either, as on a file system that has become read only
 * FAULT=write:N:NAME:M  so do only M of them
 * FAULT=slow:MS       every sync takes so long
 * TRACE=FILE          one record for each write, truncation, sync and removal below DIR, and for each answer on a socket
 * TRACE_DIR=DIR
 * CLOCK=FILE          CLOCK_REALTIME is so many nanoseconds later: a 64-bit number in the file, read at each call
 *
 * WITHOUT_OPENAT2=E   openat2 fails with the error of this number, as without it in the kernel or in a seccomp profile
 * RESOLVE=FILE        lines `NAME ADDRESS [ADDRESS …]`: each look-up of the name gets the next address
 *
 * A record: op, length of the name, length of the bytes (32 bits each), offset (64 bits), name, bytes. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <fcntl.h>
#include <netdb.h>
#include <pthread.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

enum op { OP_WRITE = 1, OP_TRUNCATE = 2, OP_SYNC = 3, OP_REMOVE = 4, OP_ANSWER = 5 };

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static int trace = -1;
static const char *trace_dir;
static long syncs, writes;
static long sync_from, sync_once, write_from, write_count, slow_ms;
static int write_error;
static volatile int64_t *clock_offset;

/* By the kernel, because the node calls it without the C library. */
static void refuse_openat2(int error) {
  struct sock_filter filter[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, __NR_openat2, 0, 1),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (error & SECCOMP_RET_DATA)),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  };
  struct sock_fprog program = {sizeof filter / sizeof *filter, filter};
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program)) abort();
}

__attribute__((constructor)) static void begin(void) {
  const char *fault = getenv("FAULT"), *file = getenv("TRACE"), *clock = getenv("CLOCK");
  char word[16];
  if (fault) {
    sscanf(fault, "sync:%ld", &sync_from);
    sscanf(fault, "sync-once:%ld", &sync_once);
    sscanf(fault, "slow:%ld", &slow_ms);
    if (sscanf(fault, "write:%ld:%15[A-Z]:%ld", &write_from, word, &write_count) >= 2)
      write_error = !strcmp(word, "ENOSPC") ? ENOSPC : !strcmp(word, "EROFS") ? EROFS : EIO;
  }
  trace_dir = getenv("TRACE_DIR");
  if (file) trace = open(file, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
  if (clock) {
    int fd = open(clock, O_RDONLY | O_CLOEXEC);
    void *page = mmap(NULL, 8, PROT_READ, MAP_SHARED, fd, 0);
    if (page != MAP_FAILED) clock_offset = page;
    close(fd);
  }
  if (getenv("WITHOUT_OPENAT2")) refuse_openat2(atoi(getenv("WITHOUT_OPENAT2")));
  /* Children of the node are no node. */
  unsetenv("LD_PRELOAD");
}

static int name_of(int fd, char *name, size_t size) {
  char link[32];
  snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  ssize_t length = readlink(link, name, size - 1);
  if (length < 0) return 0;
  name[length] = 0;
  return 1;
}

static int is_ledger(int fd) {
  char name[4096];
  return name_of(fd, name, sizeof name) && strstr(name, "/ledger.db") != NULL;
}

static void put(enum op op, const char *name, uint64_t offset, const struct iovec *parts, int count) {
  uint32_t bytes = 0;
  for (int i = 0; i < count; i++) bytes += parts[i].iov_len;
  uint32_t head[3] = {op, strlen(name), bytes};
  struct iovec all[16] = {{head, sizeof head}, {&offset, sizeof offset}, {(void *)name, strlen(name)}};
  for (int i = 0; i < count && i < 13; i++) all[3 + i] = parts[i];
  pthread_mutex_lock(&lock);
  syscall(SYS_writev, trace, all, 3 + (count < 13 ? count : 13));
  pthread_mutex_unlock(&lock);
}

/* The name below TRACE_DIR, if that is where the file is. */
static const char *below(const char *name) {
  size_t length = trace_dir ? strlen(trace_dir) : 0;
  return length && !strncmp(name, trace_dir, length) && name[length] == '/' ? name + length + 1 : NULL;
}

static void note(enum op op, int fd, uint64_t offset, const void *bytes, size_t count) {
  char name[4096];
  if (trace < 0 || !name_of(fd, name, sizeof name)) return;
  const char *short_name = below(name);
  struct iovec part = {(void *)bytes, count};
  if (short_name) put(op, short_name, offset, &part, bytes ? 1 : 0);
  else if (op == OP_SYNC && trace_dir && !strcmp(name, trace_dir)) put(op, ".", 0, NULL, 0);
}

static int writes_fail(void) {
  long count = __atomic_load_n(&writes, __ATOMIC_SEQ_CST);
  return write_from && count >= write_from && (!write_count || count < write_from + write_count);
}

static int write_fails(int fd) {
  if (!write_from || !is_ledger(fd)) return 0;
  __atomic_add_fetch(&writes, 1, __ATOMIC_SEQ_CST);
  if (!writes_fail()) return 0;
  errno = write_error;
  return 1;
}

int open64(const char *name, int flags, ...) {
  va_list rest;
  va_start(rest, flags);
  mode_t mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(rest, mode_t) : 0;
  va_end(rest);
  size_t length = strlen(name);
  if (write_error == EROFS && (flags & O_ACCMODE) != O_RDONLY && writes_fail() && length > 5 &&
      !strcmp(name + length - 5, "/lock")) {
    errno = EROFS;
    return -1;
  }
  return syscall(SYS_openat, AT_FDCWD, name, flags, mode);
}

static int sync_fails(int fd) {
  if (slow_ms && is_ledger(fd)) {
    struct timespec pause = {slow_ms / 1000, slow_ms % 1000 * 1000000};
    nanosleep(&pause, NULL);
  }
  if ((!sync_from && !sync_once) || !is_ledger(fd)) return 0;
  long number = __atomic_add_fetch(&syncs, 1, __ATOMIC_SEQ_CST);
  if (number == sync_once || (sync_from && number >= sync_from)) {
    errno = EIO;
    return 1;
  }
  return 0;
}

ssize_t pwrite64(int fd, const void *bytes, size_t count, off64_t offset) {
  if (write_fails(fd)) return -1;
  ssize_t written = syscall(SYS_pwrite64, fd, bytes, count, offset);
  if (written > 0) note(OP_WRITE, fd, offset, bytes, written);
  return written;
}
ssize_t pwrite(int fd, const void *bytes, size_t count, off_t offset) { return pwrite64(fd, bytes, count, offset); }

/* What is sent to a caller; `trace` is the only socket writer that matters. */
static void answered(int fd, const struct iovec *parts, int count) {
  struct stat status;
  if (trace >= 0 && !fstat(fd, &status) && S_ISSOCK(status.st_mode)) put(OP_ANSWER, "", 0, parts, count);
}

ssize_t write(int fd, const void *bytes, size_t count) {
  if (write_fails(fd)) return -1;
  off_t offset = trace >= 0 ? lseek(fd, 0, SEEK_CUR) : -1;
  struct iovec part = {(void *)bytes, count};
  answered(fd, &part, 1);
  ssize_t written = syscall(SYS_write, fd, bytes, count);
  if (written > 0 && offset >= 0) note(OP_WRITE, fd, offset, bytes, written);
  return written;
}

ssize_t send(int fd, const void *bytes, size_t count, int flags) {
  struct iovec part = {(void *)bytes, count};
  answered(fd, &part, 1);
  return syscall(SYS_sendto, fd, bytes, count, flags, NULL, 0);
}

ssize_t writev(int fd, const struct iovec *parts, int count) {
  answered(fd, parts, count);
  return syscall(SYS_writev, fd, parts, count);
}

int ftruncate64(int fd, off64_t length) {
  if (write_fails(fd)) return -1;
  int done = syscall(SYS_ftruncate, fd, length);
  if (!done) note(OP_TRUNCATE, fd, length, NULL, 0);
  return done;
}
int ftruncate(int fd, off_t length) { return ftruncate64(fd, length); }

int fdatasync(int fd) {
  if (sync_fails(fd)) return -1;
  int done = syscall(SYS_fdatasync, fd);
  if (!done) note(OP_SYNC, fd, 0, NULL, 0);
  return done;
}

int fsync(int fd) {
  if (sync_fails(fd)) return -1;
  int done = syscall(SYS_fsync, fd);
  if (!done) note(OP_SYNC, fd, 0, NULL, 0);
  return done;
}

int unlink(const char *name) {
  int done = syscall(SYS_unlink, name);
  const char *short_name = trace >= 0 ? below(name) : NULL;
  if (!done && short_name) put(OP_REMOVE, short_name, 0, NULL, 0);
  return done;
}

int clock_gettime(clockid_t which, struct timespec *time) {
  int done = syscall(SYS_clock_gettime, which, time);
  if (!done && which == CLOCK_REALTIME && clock_offset) {
    int64_t now = time->tv_sec * INT64_C(1000000000) + time->tv_nsec + *clock_offset;
    time->tv_sec = now / 1000000000;
    time->tv_nsec = now % 1000000000;
  }
  return done;
}

int getaddrinfo(const char *name, const char *service, const struct addrinfo *hints, struct addrinfo **found) {
  static int (*real)(const char *, const char *, const struct addrinfo *, struct addrinfo **);
  static unsigned turns;
  if (!real) *(void **)&real = dlsym(RTLD_NEXT, "getaddrinfo");
  const char *file = getenv("RESOLVE");
  FILE *table = file && name ? fopen(file, "r") : NULL;
  char line[512], *addresses[16];
  while (table && fgets(line, sizeof line, table)) {
    char *rest = line, *word = strsep(&rest, " \n");
    if (strcmp(word, name)) continue;
    unsigned count = 0;
    while (rest && count < 16 && (word = strsep(&rest, " \n"))) if (*word) addresses[count++] = word;
    fclose(table);
    unsigned turn = __atomic_fetch_add(&turns, 1, __ATOMIC_SEQ_CST);
    return count ? real(addresses[turn % count], service, hints, found) : EAI_NONAME;
  }
  if (table) fclose(table);
  return real(name, service, hints, found);
}
