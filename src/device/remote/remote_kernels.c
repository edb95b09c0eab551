#include "device/remote/remote.h"

#include "base/error.h"

/* An address among the arguments becomes the one where its bytes are. False: it is
   not the device's. How much is read there, the guard pages watch. */
static bool address(const remote_device *d, const void *slot) {
    void *given;
    memcpy(&given, slot, sizeof(given));
    if (!given)
        return true;
    void *real = remote_memory_real(&d->memory, given, 1);
    memcpy((void *)(uintptr_t)slot, &real, sizeof(real));
    return real != NULL;
}

#define HERE(field) address(d, &(field))

static bool epilogue(const remote_device *d, ms_epilogue *e) {
    return HERE(e->bias) && HERE(e->add) && HERE(e->slope) && HERE(e->residual.data);
}

static bool sources(const remote_device *d, ms_rows *src, int n_src) {
    return HERE(src[0].data) && (n_src < 2 || HERE(src[1].data));
}

static bool here_linear(const remote_device *d, ms_linear_args *a) {
    return sources(d, a->src, a->n_src) && HERE(a->dst.data) && HERE(a->weight.data) &&
           HERE(a->prologue.tables) && epilogue(d, &a->epilogue);
}

static bool here_conv2d(const remote_device *d, ms_conv2d_args *a) {
    return sources(d, a->src, a->n_src) && HERE(a->dst.data) && HERE(a->weight.data) &&
           HERE(a->prologue.tables) && epilogue(d, &a->epilogue);
}

static bool here_attention(const remote_device *d, ms_attention_args *a) {
    return HERE(a->q) && HERE(a->k) && HERE(a->v) && HERE(a->out);
}

static bool here_norm_partials(const remote_device *d, ms_norm_partials_args *a) {
    return sources(d, a->src, a->n_src) && HERE(a->partials);
}

static bool here_norm_tables(const remote_device *d, ms_norm_tables_args *a) {
    return HERE(a->partials) && HERE(a->gamma) && HERE(a->beta) && HERE(a->tables);
}

static bool here_norm_apply(const remote_device *d, ms_norm_apply_args *a) {
    return HERE(a->src.data) && HERE(a->dst.data) && HERE(a->prologue.tables);
}

static bool here_layer_norm(const remote_device *d, ms_layer_norm_args *a) {
    return HERE(a->src.data) && HERE(a->dst.data) && HERE(a->gamma) && HERE(a->beta) && HERE(a->position);
}

static bool here_binary(const remote_device *d, ms_binary_args *a) {
    return HERE(a->a.data) && HERE(a->b.data) && HERE(a->dst.data) && HERE(a->b_channel);
}

static bool here_unary(const remote_device *d, ms_unary_args *a) {
    return HERE(a->src.data) && HERE(a->dst.data) && HERE(a->slope);
}

static bool here_pool(const remote_device *d, ms_pool_args *a) {
    return HERE(a->src.data) && HERE(a->dst.data);
}

static bool here_resize(const remote_device *d, ms_resize_args *a) {
    return HERE(a->src.data) && HERE(a->dst.data);
}

static bool here_copy(const remote_device *d, ms_copy_args *a) {
    return HERE(a->src) && HERE(a->dst);
}

static bool here_noise(const remote_device *d, ms_noise_args *a) {
    return HERE(a->numbers) && HERE(a->dst.data);
}

static bool here_posterior(const remote_device *d, ms_posterior_args *a) {
    return HERE(a->moments.data) && HERE(a->normals.data) && HERE(a->dst.data);
}

static bool here_rescale(const remote_device *d, ms_rescale_args *a) {
    return HERE(a->src.data) && HERE(a->dst.data);
}

static bool here_guide(const remote_device *d, ms_guide_args *a) {
    return HERE(a->without.data) && HERE(a->with.data) && HERE(a->dst.data);
}

static bool here_ddim(const remote_device *d, ms_ddim_args *a) {
    return HERE(a->sample.data) && HERE(a->noise.data) && HERE(a->dst.data) && HERE(a->step);
}

static bool here_check_finite(const remote_device *d, ms_check_finite_args *a) {
    return HERE(a->src.data) && HERE(a->flag);
}

/* Checked, translated and given. */
#define GIVEN(name)                                                                                          \
    remote_device *d = remote_of(queue->dev);                                                                \
    MS_TRY_KERNEL_ARGS(queue->dev, name, args);                                                              \
    remote_command c = {.kind = REMOTE_KERNEL, .run = run_##name, .args.name = *args};                       \
    pthread_mutex_lock(&d->lock);                                                                            \
    bool here = here_##name(d, &c.args.name);

#define KERNEL(name)                                                                                         \
    static ms_status run_##name(const remote_device *d, const remote_command *c) {                           \
        ms_queue cpu = {d->cpu};                                                                             \
        return d->cpu->kernels->name(&cpu, &c->args.name);                                                   \
    }                                                                                                        \
    static ms_status name(ms_queue *queue, const ms_##name##_args *args) {                                   \
        GIVEN(name)                                                                                          \
        pthread_mutex_unlock(&d->lock);                                                                      \
        return here ? remote_give(queue, &c) : MS_INVALID_ARGUMENT;                                          \
    }
KERNEL(norm_partials)
KERNEL(norm_tables)
KERNEL(norm_apply)
KERNEL(layer_norm)
KERNEL(binary)
KERNEL(unary)
KERNEL(pool)
KERNEL(resize)
KERNEL(copy)
KERNEL(noise)
KERNEL(posterior)
KERNEL(rescale)
KERNEL(guide)
KERNEL(ddim)
KERNEL(check_finite)

#define KERNEL_WITH_WORKSPACE(name)                                                                          \
    static size_t name##_workspace(const ms_device *dev, const ms_##name##_args *args) {                     \
        const ms_device *cpu = remote_of(dev)->cpu;                                                          \
        return cpu->kernels->name##_workspace(cpu, args);                                                    \
    }                                                                                                        \
    static ms_status run_##name(const remote_device *d, const remote_command *c) {                           \
        ms_queue cpu = {d->cpu};                                                                             \
        return d->cpu->kernels->name(&cpu, &c->args.name, c->workspace);                                     \
    }                                                                                                        \
    static ms_status name(ms_queue *queue, const ms_##name##_args *args, void *workspace) {                  \
        GIVEN(name)                                                                                          \
        size_t bytes = name##_workspace(queue->dev, args);                                                   \
        if (here && bytes > 0) {                                                                             \
            c.workspace = remote_memory_real(&d->memory, workspace, bytes);                                  \
            here = c.workspace != NULL;                                                                      \
        }                                                                                                    \
        pthread_mutex_unlock(&d->lock);                                                                      \
        return here ? remote_give(queue, &c) : MS_INVALID_ARGUMENT;                                          \
    }
KERNEL_WITH_WORKSPACE(linear)
KERNEL_WITH_WORKSPACE(conv2d)
KERNEL_WITH_WORKSPACE(attention)

const ms_kernels remote_kernels = MS_KERNELS_BY_NAME;
