#include "device/cpu/cpu.h"

typedef struct attention_run {
    const ms_attention_args *args;
    const ms_cpu_ops *ops;
    int64_t blocks; /* of queries */
    int64_t worker_floats;
    float *workspace;
} attention_run;

static attention_run make_run(const ms_attention_args *args) {
    return (attention_run){
        .args = args,
        .blocks = ms_ceil_div(args->q_tokens, MS_ATTENTION_QUERIES),
        .worker_floats = ms_attention_job_floats(args->head_dim),
    };
}

size_t ms_attention_workspace_bytes(const ms_attention_args *args, int threads) {
    return (size_t)threads * (size_t)make_run(args).worker_floats * sizeof(float);
}

static void attention_task(void *arg, int64_t task, int worker) {
    const attention_run *r = arg;
    const ms_attention_args *a = r->args;
    const int64_t first = task % r->blocks * MS_ATTENTION_QUERIES, head = task / r->blocks % a->heads;
    const int64_t batch = task / r->blocks / a->heads, i = batch / a->batch_inner, j = batch % a->batch_inner;
    const int64_t channel = head * a->head_dim;
    ms_attention_job job = {
        .q = a->q + i * a->q_stride[0] + j * a->q_stride[1] + first * a->q_stride[2] + channel,
        .k = a->k + i * a->k_stride[0] + j * a->k_stride[1] + channel,
        .v = a->v + i * a->v_stride[0] + j * a->v_stride[1] + channel,
        .out = a->out + i * a->out_stride[0] + j * a->out_stride[1] + first * a->out_stride[2] + channel,
        .q_token = a->q_stride[2],
        .k_token = a->k_stride[2],
        .v_token = a->v_stride[2],
        .out_token = a->out_stride[2],
        .queries = ms_min(MS_ATTENTION_QUERIES, a->q_tokens - first),
        .keys = a->kv_tokens,
        .head_dim = a->head_dim,
        .scale = a->scale,
        .workspace = r->workspace + worker * r->worker_floats,
    };
    r->ops->attention(&job);
}

void ms_cpu_attention(ms_device *dev, const ms_attention_args *args, void *workspace) {
    attention_run r = make_run(args);
    r.ops = ms_ops(dev);
    r.workspace = workspace;
    ms_pool_run(dev->pool, args->batch_outer * args->batch_inner * args->heads * r.blocks, attention_task,
                &r);
}
