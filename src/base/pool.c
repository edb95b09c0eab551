#include "base/pool.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>

#include "base/error.h"

#if defined(__x86_64__) || defined(__i386__)
#define cpu_relax() __builtin_ia32_pause()
#else
#define cpu_relax() ((void)0)
#endif

/* A kernel follows the last one within microseconds; sleeping in between costs more than this many looks. A
   thread that looked in vain looks half as often the next time, and one that did not twice as often: beside
   other work (codecs, other runs) looking takes the processor from those who have something to do. */
#define SPIN_LOOKS 4000
#define LEAST_LOOKS 250

/* More threads than CPUs only wait for each other, and every one has workspace of its own.
   A few are always allowed, so that what works on one machine works on a smaller one. */
#define CPU_THREADS 4
#define LEAST_MOST_THREADS 16
#define MAX_THREADS 1024

struct ms_pool {
    int n_threads;
    pthread_t *threads;     /* n_threads - 1 */
    pthread_mutex_t caller; /* held by the one whose tasks are run */
    pthread_mutex_t lock;
    pthread_cond_t wake, finished;
    /* The job's number in the upper half, a new one starts a job; tasks that nobody has taken in the lower.
       A task is taken in one step with a look at the number, so a thread that comes late takes nothing of a
       job that is over, and nobody waits for it. */
    atomic_uint_fast64_t ticket;
    atomic_int_fast64_t left; /* tasks that are not finished */
    atomic_bool stop;
    atomic_int next_worker;
    /* Of the job: they stay as they are while one of its tasks is not finished. */
    int64_t n_tasks;
    ms_task_fn fn;
    void *arg;
};

#define MOST_TASKS INT64_C(0xffffffff)

static uint32_t job_of(uint64_t ticket) {
    return (uint32_t)(ticket >> 32);
}

/* Whether a task was taken: its number. */
static bool take(ms_pool *pool, int64_t *ret_task) {
    uint64_t ticket = atomic_load(&pool->ticket);
    while ((uint32_t)ticket != 0)
        if (atomic_compare_exchange_weak(&pool->ticket, &ticket, ticket - 1)) {
            *ret_task = pool->n_tasks - (int64_t)(uint32_t)ticket;
            return true;
        }
    return false;
}

static void work(ms_pool *pool, int worker) {
    for (int64_t task; take(pool, &task);) {
        pool->fn(pool->arg, task, worker);
        if (atomic_fetch_sub(&pool->left, 1) == 1) {
            pthread_mutex_lock(&pool->lock);
            pthread_cond_signal(&pool->finished);
            pthread_mutex_unlock(&pool->lock);
        }
    }
}

static uint32_t await_job(ms_pool *pool, uint32_t seen, int *looks) {
    for (int i = 0; i < *looks; i++) {
        uint32_t now = job_of(atomic_load(&pool->ticket));
        if (now != seen || atomic_load(&pool->stop)) {
            *looks = *looks < SPIN_LOOKS / 2 ? 2 * *looks : SPIN_LOOKS;
            return now;
        }
        cpu_relax();
    }
    *looks = *looks > 2 * LEAST_LOOKS ? *looks / 2 : LEAST_LOOKS;
    pthread_mutex_lock(&pool->lock);
    while (job_of(atomic_load(&pool->ticket)) == seen && !atomic_load(&pool->stop))
        pthread_cond_wait(&pool->wake, &pool->lock);
    uint32_t now = job_of(atomic_load(&pool->ticket));
    pthread_mutex_unlock(&pool->lock);
    return now;
}

static void *worker_main(void *arg) {
    ms_pool *pool = arg;
    int worker = atomic_fetch_add(&pool->next_worker, 1) + 1;
    uint32_t seen = 0;
    int looks = SPIN_LOOKS;
    for (;;) {
        seen = await_job(pool, seen, &looks);
        if (atomic_load(&pool->stop))
            return NULL;
        work(pool, worker);
    }
}

/* cgroup v2 cpu.max is "quota period" or "max period". */
static int cgroup_cpu_limit(void) {
    FILE *f = fopen("/sys/fs/cgroup/cpu.max", "r");
    if (!f)
        return 0;
    long long quota = 0, period = 0;
    int n = fscanf(f, "%lld %lld", &quota, &period);
    fclose(f);
    if (n != 2 || quota <= 0 || period <= 0)
        return 0;
    return (int)((quota + period - 1) / period);
}

int ms_cpu_count(void) {
    cpu_set_t set;
    int n = 1;
    if (sched_getaffinity(0, sizeof(set), &set) == 0)
        n = CPU_COUNT(&set);
    int limit = cgroup_cpu_limit();
    if (limit > 0 && limit < n)
        n = limit;
    return n > 0 ? n : 1;
}

int ms_pool_most_threads(void) {
    int most = CPU_THREADS * ms_cpu_count();
    return most < LEAST_MOST_THREADS ? LEAST_MOST_THREADS : most > MAX_THREADS ? MAX_THREADS : most;
}

ms_status ms_pool_create(ms_mem *mem, int n_threads, ms_pool **ret_pool, ms_error *err) {
    int most = ms_pool_most_threads();
    if (n_threads < 0 || n_threads > most)
        return ms_fail(err, MS_INVALID_ARGUMENT,
                       "threads must be 0 (all) to %d with the %d CPUs that there are, not %d", most,
                       ms_cpu_count(), n_threads);
    if (n_threads == 0)
        n_threads = ms_cpu_count();
    ms_pool *pool = ms_mem_calloc(mem, MS_LEDGER_GENERAL, 1, sizeof(*pool));
    if (!pool)
        return ms_fail_alloc(err, mem, sizeof(*pool), "the thread pool");
    pool->n_threads = 1;
    pthread_mutex_init(&pool->caller, NULL);
    pthread_mutex_init(&pool->lock, NULL);
    pthread_cond_init(&pool->wake, NULL);
    pthread_cond_init(&pool->finished, NULL);
    pool->threads = ms_alloc_array(mem, MS_LEDGER_GENERAL, (size_t)n_threads, sizeof(pthread_t));
    if (!pool->threads) {
        ms_pool_destroy(&pool);
        return ms_fail_alloc(err, mem, (size_t)n_threads * sizeof(pthread_t), "the thread pool");
    }
    while (pool->n_threads < n_threads) {
        if (pthread_create(&pool->threads[pool->n_threads - 1], NULL, worker_main, pool) != 0) {
            int made = pool->n_threads;
            ms_pool_destroy(&pool);
            return ms_fail(err, MS_HOST_MEMORY, "cannot start thread %d of %d", made + 1, n_threads);
        }
        pool->n_threads++;
    }
    *ret_pool = pool;
    return MS_OK;
}

void ms_pool_destroy(ms_pool **ptr) {
    if (!ptr || !*ptr)
        return;
    ms_pool *pool = *ptr;
    pthread_mutex_lock(&pool->lock);
    atomic_store(&pool->stop, true);
    pthread_cond_broadcast(&pool->wake);
    pthread_mutex_unlock(&pool->lock);
    for (int i = 0; i < pool->n_threads - 1; i++)
        pthread_join(pool->threads[i], NULL);
    pthread_cond_destroy(&pool->finished);
    pthread_cond_destroy(&pool->wake);
    pthread_mutex_destroy(&pool->lock);
    pthread_mutex_destroy(&pool->caller);
    ms_mem_free(pool->threads);
    ms_mem_free(pool);
    *ptr = NULL;
}

int ms_pool_threads(const ms_pool *pool) {
    return pool ? pool->n_threads : 1;
}

static void run_job(ms_pool *pool, int64_t n_tasks, ms_task_fn fn, void *arg) {
    pool->fn = fn;
    pool->arg = arg;
    pool->n_tasks = n_tasks;
    atomic_store(&pool->left, n_tasks);
    pthread_mutex_lock(&pool->lock);
    uint64_t job = job_of(atomic_load(&pool->ticket)) + UINT64_C(1);
    atomic_store(&pool->ticket, (job & 0xffffffff) << 32 | (uint64_t)n_tasks);
    pthread_cond_broadcast(&pool->wake);
    pthread_mutex_unlock(&pool->lock);
    work(pool, 0);
    for (int i = 0; i < SPIN_LOOKS && atomic_load(&pool->left) > 0; i++)
        cpu_relax();
    pthread_mutex_lock(&pool->lock);
    while (atomic_load(&pool->left) > 0)
        pthread_cond_wait(&pool->finished, &pool->lock);
    pthread_mutex_unlock(&pool->lock);
}

void ms_pool_run(ms_pool *pool, int64_t n_tasks, ms_task_fn fn, void *arg) {
    if (n_tasks <= 0)
        return;
    if (!pool || pool->n_threads == 1 || n_tasks == 1 || n_tasks > MOST_TASKS) {
        for (int64_t i = 0; i < n_tasks; i++)
            fn(arg, i, 0);
        return;
    }
    pthread_mutex_lock(&pool->caller);
    run_job(pool, n_tasks, fn, arg);
    pthread_mutex_unlock(&pool->caller);
}
