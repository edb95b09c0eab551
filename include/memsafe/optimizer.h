/*
 * How many items to take at a time, for pipelines that are not ours as for our own: state the device, say
 * what a batch costs, ask before each piece of work. An answer is the tier's cap (or the user's), lowered
 * until the batch fits the free memory less the safety margin, lowered again under pressure; never below 1.
 *
 *   ms_optimizer_params p;
 *   ms_optimizer_params_init(&p);
 *   p.device_bytes = 8ull << 30;
 *   p.free_bytes = 6ull << 30;
 *   p.costs[MS_TASK_VAE_DECODE] = (ms_task_cost){.fixed_bytes = 200 << 20, .pixel_bytes = 2048};
 *   ms_optimizer_create(&p, &optimizer, &err);
 *   ms_optimizer_get_optimal_batch_size(optimizer, MS_TASK_VAE_DECODE,
 *                                       &(ms_batch_request){.height = 512, .width = 512}, &batch, &err);
 *
 * An optimizer is not changed by queries: any number of threads may ask at once.
 */
#ifndef MEMSAFE_OPTIMIZER_H
#define MEMSAFE_OPTIMIZER_H

#include <stdbool.h>
#include <stddef.h>

#include "memsafe/device.h"

#ifdef __cplusplus
extern "C" {
#endif

/*
 * X(name, text). What an item is, and how large:
 *   face_detection     a frame of the video, height x width its size
 *   face_processing    likewise: alignment of the face before, paste-back after
 *   vae_encode         a picture of height x width pixels
 *   vae_decode         likewise, the size of what comes out
 *   unet_inference     a frame of the window with all its guidance branches, the size of its picture
 *   latent_processing  a frame's latents: noise, guidance, scheduler; the size of its picture
 */
#define MS_TASK_MAP(X)                                                                                       \
    X(FACE_DETECTION, "face_detection")                                                                      \
    X(FACE_PROCESSING, "face_processing")                                                                    \
    X(VAE_ENCODE, "vae_encode")                                                                              \
    X(VAE_DECODE, "vae_decode")                                                                              \
    X(UNET_INFERENCE, "unet_inference")                                                                      \
    X(LATENT_PROCESSING, "latent_processing")

typedef enum ms_task {
#define X(name, text) MS_TASK_##name,
    MS_TASK_MAP(X)
#undef X
        MS_TASK_COUNT
} ms_task;
#define MS_TASK_ROOM 16 /* elements of arrays that have one for each task, so that there may be more */

/* Largest batch of the tasks for which the tiers name none, unless the user sets one. */
#define MS_BATCH_LIMIT 32

typedef struct ms_batch_request {
    int height, width; /* of an item, in pixels */
    int frames;        /* so many there are to do: a batch is never larger; 0 = not known */
    /* Of the device; 0 = ask ms_optimizer_params.ask_free, else its free_bytes or device */
    size_t free_bytes;
    int pressure; /* by other tenants: 0 = none, 1 = half the batch, 2 = a quarter, 3 = one item */
} ms_batch_request;

/* What a batch needs while it runs, beyond what is held anyway (weights). Where the
   device is the host, all of it is device_bytes. */
typedef struct ms_batch_bytes {
    size_t device_bytes, host_bytes;
} ms_batch_bytes;

/*
 * The exact cost of a batch of `items`; it must not fall when items rise. Asked for a handful of sizes per
 * query (a binary search), so building a plan in it is fine. May be called from several threads at once if
 * the optimizer is.
 */
typedef ms_status (*ms_batch_cost_fn)(void *arg, ms_task task, const ms_batch_request *request, int items,
                                      ms_batch_bytes *ret_bytes, ms_error *err);

/* In place of a function: device_bytes = fixed + items x (item + pixel x height x width). */
typedef struct ms_task_cost {
    size_t fixed_bytes, item_bytes, pixel_bytes;
} ms_task_cost;

typedef struct ms_optimizer_params {
    /* Asked for those of the two sizes that are 0; borrowed; NULL = the sizes are as stated */
    const ms_device *device;
    size_t device_bytes;  /* nominal memory: chooses the tier */
    bool device_has_bf16; /* it computes in bfloat16 */
    size_t free_bytes;    /* of the device now */
    /* the same at the time of a query, or NULL; before free_bytes and the device */
    size_t (*ask_free)(void *arg);
    size_t host_budget_bytes;    /* for host_bytes; 0 = the profile's, else no limit */
    const char *profile;         /* tier by name, or NULL */
    const char *profile_file;    /* or NULL */
    const char *const *settings; /* "field=value" */
    int n_settings;
    bool environment;                 /* look at MEMSAFE_* variables */
    ms_batch_cost_fn cost;            /* or NULL: the table */
    ms_task_cost costs[MS_TASK_ROOM]; /* all zero = not known */
    void *arg;                        /* of cost and ask_free */
} ms_optimizer_params;

/* All zero but environment, which is true. */
MS_API void ms_optimizer_params_init_sized(ms_optimizer_params *ret_params, size_t params_bytes);
static inline void ms_optimizer_params_init(ms_optimizer_params *ret_params) {
    ms_optimizer_params_init_sized(ret_params, sizeof(*ret_params));
}

typedef struct ms_optimizer ms_optimizer;

/* MS_INVALID_ARGUMENT: neither device nor device_bytes, or a profile that is none (the message names source,
   field and value); MS_IO: the profile's file. params is copied, but for arg and what the functions use. */
MS_API ms_status ms_optimizer_create_sized(const ms_optimizer_params *params, size_t params_bytes,
                                           ms_optimizer **ret_optimizer, ms_error *err);
static inline ms_status ms_optimizer_create(const ms_optimizer_params *params, ms_optimizer **ret_optimizer,
                                            ms_error *err) {
    return ms_optimizer_create_sized(params, sizeof(*params), ret_optimizer, err);
}
MS_API void ms_optimizer_destroy(ms_optimizer **optimizer);

/* MS_INVALID_ARGUMENT: a task, size or pressure that is none, or a task of unknown cost; else what the cost
   function says. A batch of 1 is also the answer when not even that fits: ms_optimizer_explain() tells. */
MS_API ms_status ms_optimizer_get_optimal_batch_size_sized(const ms_optimizer *optimizer, ms_task task,
                                                           const ms_batch_request *request,
                                                           size_t request_bytes, int *ret_batch,
                                                           ms_error *err);
static inline ms_status ms_optimizer_get_optimal_batch_size(const ms_optimizer *optimizer, ms_task task,
                                                            const ms_batch_request *request, int *ret_batch,
                                                            ms_error *err) {
    return ms_optimizer_get_optimal_batch_size_sized(optimizer, task, request, sizeof(*request), ret_batch,
                                                     err);
}

/* What lowered the answer last. */
typedef enum ms_batch_limit {
    MS_BATCH_BY_CAP,
    MS_BATCH_BY_FRAMES,
    MS_BATCH_BY_MEMORY,
    MS_BATCH_BY_HOST_MEMORY,
    MS_BATCH_BY_PRESSURE,
} ms_batch_limit;

typedef struct ms_batch_answer {
    int batch;
    ms_batch_limit limit;
    bool fits; /* false: not even one item does */
    int cap;
    bool cap_is_users;          /* not the tier's */
    size_t free_bytes;          /* of the device */
    size_t usable_bytes;        /* of the free bytes: less the margin, at most the budget */
    size_t usable_host_bytes;   /* SIZE_MAX = no limit */
    ms_batch_bytes one, needed; /* of one item, and of the batch */
} ms_batch_answer;

/* The same query with its reasons. */
MS_API ms_status ms_optimizer_explain_sized(const ms_optimizer *optimizer, ms_task task,
                                            const ms_batch_request *request, size_t request_bytes,
                                            ms_batch_answer *ret_answer, size_t answer_bytes, ms_error *err);
static inline ms_status ms_optimizer_explain(const ms_optimizer *optimizer, ms_task task,
                                             const ms_batch_request *request, ms_batch_answer *ret_answer,
                                             ms_error *err) {
    return ms_optimizer_explain_sized(optimizer, task, request, sizeof(*request), ret_answer,
                                      sizeof(*ret_answer), err);
}

/* The tier that holds ("unknown" for NULL), and how many frames it wants from one
   clean-up of caches to the next; 0 = under memory pressure only. */
MS_API const char *ms_optimizer_tier(const ms_optimizer *optimizer);
MS_API int ms_optimizer_clean_up_frames(const ms_optimizer *optimizer);

/* Never NULL. */
MS_API const char *ms_task_name(ms_task task);
MS_API const char *ms_batch_limit_name(ms_batch_limit limit);

/* False when no task has that name, or one of them is NULL. */
MS_API bool ms_task_find(const char *name, ms_task *ret_task);

#ifdef __cplusplus
}
#endif
#endif
