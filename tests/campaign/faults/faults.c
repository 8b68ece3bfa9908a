/* Faults at the file layer, under the real SQLite: to be loaded before everything else (LD_PRELOAD).

   Calls on files under one folder are counted by kind. The Nth of a kind fails, is cut short, or kills the
   process; or all of them are recorded. Nothing happens before it is armed, and nothing to other files:

       faults_arm(folder, kind, first, last, how)    from now on, calls `first` to `last` of the kind go wrong
       faults_record(path)                           from now on, every call is written to the file
       faults_count(kind)                            how many there were since it was armed
       faults_fired()                                how often it went wrong
*/

#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

enum kind { WRITE, SYNC, LOCK, OPEN, CUT, KINDS };
enum how { NOTHING, FAIL, FILL, SHORT, KILL_BEFORE, KILL_AMID, KILL_AFTER };

#define FILES 65536

static char folder[PATH_MAX];
static size_t folder_length;
static char *names[FILES];
static long counts[KINDS], first_bad, last_bad, fired;
static int bad_kind = -1, bad_how = NOTHING, record = -1;
static pthread_mutex_t guard = PTHREAD_MUTEX_INITIALIZER;

#define REAL(name) ((__typeof__(&name))real(#name))

static void *real(const char *name) { return dlsym(RTLD_NEXT, name); }

static void die(void) { kill(getpid(), SIGKILL); for (;;) pause(); }

static int is_ours(const char *path) {
    return folder_length && path && !strncmp(path, folder, folder_length) &&
           (!path[folder_length] || path[folder_length] == '/');
}

static const char *name_of(int file) { return file >= 0 && file < FILES ? names[file] : NULL; }

static void remember(int file, const char *path) {
    if (file < 0 || file >= FILES) return;
    pthread_mutex_lock(&guard);
    free(names[file]);
    names[file] = strdup(path);
    pthread_mutex_unlock(&guard);
}

static void forget(int file) {
    if (!name_of(file)) return;
    pthread_mutex_lock(&guard);
    free(names[file]);
    names[file] = NULL;
    pthread_mutex_unlock(&guard);
}

/* One more call of the kind: how it is to go wrong. */
static int counted(enum kind kind) {
    long number = __atomic_add_fetch(&counts[kind], 1, __ATOMIC_SEQ_CST);
    if ((int)kind != bad_kind || number < first_bad || number > last_bad) return NOTHING;
    __atomic_add_fetch(&fired, 1, __ATOMIC_SEQ_CST);
    /* What a disk that fills up does: a part of one write, and nothing after it. */
    return bad_how == SHORT && number > first_bad ? FILL : bad_how;
}

/* What happens in place of the call, or before it: -1 if it fails. */
static int goes_wrong(int how) {
    if (how == KILL_BEFORE || how == KILL_AMID) die();
    if (how == FAIL) errno = EIO;
    if (how == FILL || how == SHORT) errno = ENOSPC;
    return how == FAIL || how == FILL || how == SHORT ? -1 : 0;
}

static void put(const void *bytes, size_t length) {
    ssize_t (*real_write)(int, const void *, size_t) = REAL(write);
    while (length) {
        ssize_t done = real_write(record, bytes, length);
        if (done < 0) abort();
        bytes = (const char *)bytes + done;
        length -= (size_t)done;
    }
}

/* kind, length of the name, offset, length of the data: 4 numbers of 8 bytes; the name; the data. */
static void recorded(char what, const char *name, int64_t offset, const void *data, size_t length) {
    if (record < 0) return;
    int64_t head[4] = {what, (int64_t)strlen(name), offset, (int64_t)length};
    pthread_mutex_lock(&guard);
    put(head, sizeof head);
    put(name, strlen(name));
    if (data) put(data, length);
    pthread_mutex_unlock(&guard);
}

void faults_arm(const char *where, int kind, long first, long last, int how) {
    memset(counts, 0, sizeof counts);
    fired = 0;
    first_bad = first, last_bad = last, bad_how = how, bad_kind = kind;
    strncpy(folder, where, sizeof folder - 1);
    folder_length = strlen(folder);
}

void faults_record(const char *path) {
    record = REAL(open64)(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
}

long faults_count(int kind) { return counts[kind]; }
long faults_fired(void) { return fired; }

/* -- open, close, unlink ------------------------------------------------------------------------------ */

static int opened(const char *path, int flags, mode_t mode, int (*open_it)(const char *, int, ...)) {
    if (!is_ours(path)) return open_it(path, flags, mode);
    int how = counted(OPEN);
    if (goes_wrong(how)) return -1;
    int is_new = (flags & O_CREAT) && access(path, F_OK);
    int file = open_it(path, flags, mode);
    if (file >= 0) {
        remember(file, path);
        if (is_new) recorded('o', path, 0, NULL, 0);
        if (flags & O_TRUNC) recorded('t', path, 0, NULL, 0);
    }
    if (how == KILL_AFTER) die();
    return file;
}

#define OPENING(name)                                                                                       \
    int name(const char *path, int flags, ...) {                                                            \
        mode_t mode = 0;                                                                                    \
        if (flags & O_CREAT) {                                                                              \
            va_list rest;                                                                                   \
            va_start(rest, flags);                                                                          \
            mode = va_arg(rest, mode_t);                                                                    \
            va_end(rest);                                                                                   \
        }                                                                                                   \
        return opened(path, flags, mode, REAL(name));                                                       \
    }

OPENING(open)
OPENING(open64)

int close(int file) {
    forget(file);
    return REAL(close)(file);
}

int unlink(const char *path) {
    if (!is_ours(path)) return REAL(unlink)(path);
    int how = counted(CUT);
    if (goes_wrong(how)) return -1;
    int result = REAL(unlink)(path);
    if (!result) recorded('u', path, 0, NULL, 0);
    if (how == KILL_AFTER) die();
    return result;
}

/* -- write and cut ------------------------------------------------------------------------------------ */

static ssize_t write_some(int file, const void *bytes, size_t length, int64_t offset) {
    return offset < 0 ? REAL(write)(file, bytes, length) : REAL(pwrite64)(file, bytes, length, offset);
}

static ssize_t written(int file, const void *bytes, size_t length, int64_t offset) {
    const char *name = name_of(file);
    if (!name) return write_some(file, bytes, length, offset);
    int how = counted(WRITE);
    if (how == SHORT || how == KILL_AMID) {
        ssize_t part = length > 1 ? write_some(file, bytes, length / 2, offset) : 0;
        if (how == KILL_AMID) die();
        if (part > 0) return part;
    }
    if (goes_wrong(how)) return -1;
    int64_t place = offset < 0 ? lseek64(file, 0, fcntl(file, F_GETFL) & O_APPEND ? SEEK_END : SEEK_CUR) : offset;
    ssize_t result = write_some(file, bytes, length, offset);
    if (result > 0) recorded('w', name, place, bytes, (size_t)result);
    if (how == KILL_AFTER) die();
    return result;
}

ssize_t write(int file, const void *bytes, size_t length) { return written(file, bytes, length, -1); }

ssize_t pwrite64(int file, const void *bytes, size_t length, off64_t offset) {
    return written(file, bytes, length, offset);
}

ssize_t pwrite(int file, const void *bytes, size_t length, off_t offset) {
    return written(file, bytes, length, offset);
}

static int cut(int file, off64_t length) {
    const char *name = name_of(file);
    if (!name) return REAL(ftruncate64)(file, length);
    int how = counted(CUT);
    if (goes_wrong(how)) return -1;
    int result = REAL(ftruncate64)(file, length);
    if (!result) recorded('t', name, length, NULL, 0);
    if (how == KILL_AFTER) die();
    return result;
}

int ftruncate64(int file, off64_t length) { return cut(file, length); }
int ftruncate(int file, off_t length) { return cut(file, length); }

/* -- sync and lock ------------------------------------------------------------------------------------ */

static int synced(int file, int (*sync_it)(int)) {
    const char *name = name_of(file);
    if (!name) return sync_it(file);
    int how = counted(SYNC);
    if (goes_wrong(how)) return -1;
    int result = sync_it(file);
    if (!result) recorded('s', name, 0, NULL, 0);
    if (how == KILL_AFTER) die();
    return result;
}

int fsync(int file) { return synced(file, REAL(fsync)); }
int fdatasync(int file) { return synced(file, REAL(fdatasync)); }

int flock(int file, int operation) {
    if (!name_of(file) || operation & LOCK_UN) return REAL(flock)(file, operation);
    int how = counted(LOCK);
    if (goes_wrong(how)) return -1;
    int result = REAL(flock)(file, operation);
    if (how == KILL_AFTER) die();
    return result;
}

static int controlled(int file, int command, void *argument, int (*control)(int, int, ...)) {
    int is_lock = command == F_SETLK || command == F_SETLKW;
    /* To give a lock back never fails on a disk of this machine. */
    if (!is_lock || ((const struct flock *)argument)->l_type == F_UNLCK || !name_of(file)) return control(file, command, argument);
    int how = counted(LOCK);
    if (goes_wrong(how)) return -1;
    int result = control(file, command, argument);
    if (how == KILL_AFTER) die();
    return result;
}

#define CONTROLLING(name)                                                                                   \
    int name(int file, int command, ...) {                                                                  \
        va_list rest;                                                                                       \
        va_start(rest, command);                                                                            \
        void *argument = va_arg(rest, void *);                                                              \
        va_end(rest);                                                                                       \
        return controlled(file, command, argument, REAL(name));                                             \
    }

CONTROLLING(fcntl)
CONTROLLING(fcntl64)
