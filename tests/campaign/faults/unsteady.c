/* A time of day that is set back and forth all the time: to be loaded before everything else (LD_PRELOAD).

   THREADLOG_CLOCK is a number; it repeats by how much. Other clocks, those that only go on, are as they are. */

#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/time.h>
#include <time.h>

#define DAY 86400

static uint64_t dice;
static int64_t offset;

/* Every eighth look finds another time: up to a day away from the true one, and sometimes up to ten years. */
static int64_t moved(void) {
    uint64_t seen = __atomic_load_n(&dice, __ATOMIC_SEQ_CST);
    if (!seen) seen = strtoull(getenv("THREADLOG_CLOCK"), NULL, 10) * 2 + 1;
    uint64_t next = seen * 6364136223846793005u + 1442695040888963407u;
    __atomic_store_n(&dice, next, __ATOMIC_SEQ_CST);
    uint64_t drawn = next >> 33;
    int64_t reach = drawn / 8 % 16 ? DAY : 3650 * DAY;
    if (drawn % 8 == 0) __atomic_store_n(&offset, (int64_t)(drawn / 128 * 997 % (2 * reach)) - reach, __ATOMIC_SEQ_CST);
    return __atomic_load_n(&offset, __ATOMIC_SEQ_CST);
}

int clock_gettime(clockid_t clock, struct timespec *now) {
    static int (*real)(clockid_t, struct timespec *);
    if (!real) real = (int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, "clock_gettime");
    int result = real(clock, now);
    if (!result && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE)) now->tv_sec += moved();
    return result;
}

int gettimeofday(struct timeval *restrict now, void *restrict zone) {
    struct timespec found;
    (void)zone;
    int result = clock_gettime(CLOCK_REALTIME, &found);
    now->tv_sec = found.tv_sec, now->tv_usec = found.tv_nsec / 1000;
    return result;
}

time_t time(time_t *place) {
    struct timespec found;
    clock_gettime(CLOCK_REALTIME, &found);
    if (place) *place = found.tv_sec;
    return found.tv_sec;
}
