#include "memsafe/integrate.h"

#include "base/sized.h"

#define MAX_SIDE 65536

/* What its owner sees, and what that points to. */
typedef struct whole_integration {
    ms_integration shown;
    ms_adaptive_params adaptive;
    ms_adaptive_state state;
} whole_integration;

static const ms_integrate_params defaults = {.environment = true, .watch = true, .own_thread = true};

void ms_integrate_params_init_sized(ms_integrate_params *ret_params, size_t params_bytes) {
    ms_sized_fill(ret_params, params_bytes, &defaults, sizeof(defaults));
}

static ms_status check(const ms_integrate_params *p, ms_error *err) {
    if (p->video_frames < 0)
        return ms_fail(err, MS_INVALID_ARGUMENT, "a video of %lld frames", (long long)p->video_frames);
    if (p->height < 1 || p->width < 1 || p->height > MAX_SIDE || p->width > MAX_SIDE)
        return ms_fail(err, MS_INVALID_ARGUMENT, "frames of %dx%d pixels", p->width, p->height);
    if (p->task < 0 || p->task >= MS_TASK_COUNT)
        return ms_fail(err, MS_INVALID_ARGUMENT, "%d is no task", (int)p->task);
    if (p->max_batch < 0)
        return ms_fail(err, MS_INVALID_ARGUMENT, "a batch of at most %d items", p->max_batch);
    if (p->window_frames < 0 || p->buffer_frames < 0)
        return ms_fail(err, MS_INVALID_ARGUMENT, "windows of %d frames in a buffer of %d", p->window_frames,
                       p->buffer_frames);
    return MS_OK;
}

static ms_status open_device(ms_integration *it, const ms_integrate_params *p, ms_error *err) {
    if (p->device_bytes && !p->backend)
        return MS_OK; /* theirs */
    ms_device_options options = {.backend = p->backend, .memory_bytes = p->device_bytes, .mem = it->mem};
    return ms_device_create(&options, &it->device, err);
}

static ms_status make_optimizer(ms_integration *it, const ms_integrate_params *p, ms_error *err) {
    ms_optimizer_params o;
    ms_optimizer_params_init(&o);
    o.device = it->device;
    o.device_bytes = it->device ? 0 : p->device_bytes;
    o.free_bytes = p->free_bytes;
    if (!it->device && !p->free_bytes)
        o.free_bytes = p->device_bytes;
    o.ask_free = p->ask_free;
    o.profile = p->profile;
    o.settings = p->settings;
    o.n_settings = p->n_settings;
    o.environment = p->environment;
    o.cost = p->cost;
    for (int t = 0; t < MS_TASK_COUNT; t++)
        o.costs[t] = p->costs[t];
    o.arg = p->arg;
    return ms_optimizer_create(&o, &it->optimizer, err);
}

static void set_adaptive(ms_integration *it, const ms_integrate_params *p) {
    ((whole_integration *)it)->adaptive = (ms_adaptive_params){.optimizer = it->optimizer,
                                                               .task = p->task,
                                                               .height = p->height,
                                                               .width = p->width,
                                                               .max_batch = p->max_batch,
                                                               .watch = it->watch,
                                                               .trim = p->trim,
                                                               .clean_up = p->clean_up,
                                                               .cancelled = p->cancelled,
                                                               .arg = p->arg};
}

static ms_status first_batch(ms_integration *it, const ms_integrate_params *p, ms_error *err) {
    ms_batch_request request = {.height = p->height,
                                .width = p->width,
                                .frames = p->video_frames > INT32_MAX ? INT32_MAX : (int)p->video_frames,
                                .pressure = ms_pressure_watch_level(it->watch)};
    MS_TRY(ms_optimizer_get_optimal_batch_size(it->optimizer, p->task, &request, &it->batch, err));
    if (p->max_batch > 0 && p->max_batch < it->batch)
        it->batch = p->max_batch;
    return MS_OK;
}

static ms_status make_stream(ms_integration *it, const ms_integrate_params *p, ms_error *err) {
    ms_frame_stream_params s;
    ms_frame_stream_params_init(&s);
    s.mem = it->mem;
    s.frame_bytes = p->frame_bytes ? p->frame_bytes : (size_t)p->height * (size_t)p->width * 3;
    s.window_frames = p->window_frames ? p->window_frames : it->batch;
    s.buffer_frames = p->buffer_frames                  ? p->buffer_frames
                      : s.window_frames > INT32_MAX / 2 ? INT32_MAX
                                                        : 2 * s.window_frames;
    s.process = p->process;
    s.own_thread = p->own_thread;
    s.arg = p->arg;
    return ms_frame_stream_create(&s, it->adaptive, &it->stream, err);
}

static ms_status attach(ms_integration *it, const ms_integrate_params *p, ms_error *err) {
    MS_TRY(open_device(it, p, err));
    MS_TRY(make_optimizer(it, p, err));
    if (p->watch || p->pressure_trace)
        MS_TRY(ms_pressure_watch_create(it->mem, it->device, p->pressure_trace, &it->watch, err));
    set_adaptive(it, p);
    MS_TRY(first_batch(it, p, err));
    return p->process ? make_stream(it, p, err) : MS_OK;
}

ms_status ms_integrate_sized(const ms_integrate_params *params, size_t params_bytes,
                             ms_integration **ret_integration, ms_error *err) {
    ms_integrate_params p = defaults;
    ms_error_clear(err);
    MS_READ_SIZED(&p, params, params_bytes, err);
    MS_NEED(ret_integration, err);
    MS_TRY(check(&p, err));
    whole_integration *whole = ms_mem_calloc(NULL, MS_LEDGER_GENERAL, 1, sizeof(*whole));
    if (!whole)
        return ms_fail(err, MS_HOST_MEMORY, "cannot allocate the integration");
    ms_integration *it = &whole->shown;
    it->adaptive = &whole->adaptive;
    it->state = &whole->state;
    it->video_frames = p.video_frames;
    ms_status status = ms_mem_create(p.budget_bytes, &it->mem);
    if (status == MS_OK)
        status = attach(it, &p, err);
    else
        ms_fail(err, status, "cannot allocate the budget's ledgers");
    if (status != MS_OK) {
        ms_integration_destroy(&it);
        return status;
    }
    *ret_integration = it;
    return MS_OK;
}

void ms_integration_destroy(ms_integration **integration) {
    if (!integration || !*integration)
        return;
    ms_integration *it = *integration;
    ms_frame_stream_destroy(&it->stream);
    ms_pressure_watch_destroy(&it->watch);
    ms_optimizer_destroy(&it->optimizer);
    ms_device_destroy(&it->device);
    ms_mem_destroy(&it->mem);
    ms_mem_free(it);
    *integration = NULL;
}

ms_status ms_integration_process(ms_integration *it, ms_process_fn process, int64_t *ret_done,
                                 ms_error *err) {
    if (ret_done)
        *ret_done = 0;
    ms_error_clear(err);
    MS_NEED(it, err);
    MS_NEED(process, err);
    ms_adaptive_params p = *it->adaptive;
    p.process = process;
    if (!it->video_frames)
        return ms_fail(err, MS_INVALID_ARGUMENT, "the video's length was not given to ms_integrate()");
    return ms_adaptive_process(&p, 0, it->video_frames, &((whole_integration *)it)->state, ret_done, err);
}
