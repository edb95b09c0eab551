/* Row-wise inner loops: epilogue and prologue, norms, element-wise operations, pooling, depthwise taps. */

/* ((act((x + bias) + add)) + residual) * scale for sixteen columns, n of them real. */
V16_INLINE v16 apply_epilogue(v16 x, const ms_columns_epilogue *e, int64_t at, int64_t n,
                              const float *residual) {
    if (e->bias)
        x = v16_add(x, v16_load_tail(e->bias + at, n));
    if (e->add)
        x = v16_add(x, v16_load_tail(e->add + at, n));
    if (e->act != MS_ACT_NONE)
        x = v16_act(x, e->act, e->slope ? v16_load_tail(e->slope + at, n) : v16_zero());
    if (residual)
        x = v16_add(x, v16_load_tail(residual + at, n));
    if (e->scale != 1.0f)
        x = v16_mul(x, v16_set1(e->scale));
    return x;
}

static void store_geglu(const ms_store_job *job) {
    ms_columns_epilogue after = job->epilogue;
    const ms_columns_epilogue hidden = {.bias = after.bias, .add = after.add, .scale = 1.0f};
    const ms_columns_epilogue gate = {
        .bias = job->gate_bias, .add = job->gate_add, .act = MS_ACT_GELU, .scale = 1.0f};
    after.bias = after.add = NULL;
    after.act = MS_ACT_NONE;
    for (int64_t r = 0; r < job->rows; r++) {
        const float *residual = job->residual ? job->residual + r * job->residual_row : NULL;
        for (int64_t at = 0; at < job->columns; at += 16) {
            const float *c = job->c + r * job->c_row + 2 * at;
            const int64_t n = job->columns - at;
            v16 h = apply_epilogue(v16_load(c), &hidden, at, n, NULL);
            v16 g = apply_epilogue(v16_load(c + 16), &gate, at, n, NULL);
            v16 y = apply_epilogue(v16_mul(h, g), &after, at, n, residual);
            v16_store_tail(job->dst + r * job->dst_row + at, y, n);
        }
    }
}

static void store(const ms_store_job *job) {
    if (job->epilogue.act == MS_ACT_GEGLU) {
        store_geglu(job);
        return;
    }
    for (int64_t r = 0; r < job->rows; r++) {
        const float *residual = job->residual ? job->residual + r * job->residual_row : NULL;
        for (int64_t at = 0; at < job->columns; at += 16) {
            int64_t n = job->columns - at;
            v16 y = apply_epilogue(v16_load(job->c + r * job->c_row + at), &job->epilogue, at, n, residual);
            v16_store_tail(job->dst + r * job->dst_row + at, y, n);
        }
    }
}

static void scale(const ms_scale_job *job) {
    for (int64_t r = 0; r < job->rows; r++) {
        const float *src = job->src + r * job->src_row;
        float *dst = job->dst + r * job->dst_row;
        if (!job->scale) {
            memcpy(dst, src, (size_t)job->n * sizeof(float));
            continue;
        }
        for (int64_t c = 0; c < job->n; c += 16) {
            int64_t n = job->n - c;
            v16 x = v16_fma(v16_load_tail(src + c, n), v16_load_tail(job->scale + c, n),
                            v16_load_tail(job->shift + c, n));
            if (job->act == MS_ACT_SILU)
                x = v16_silu(x);
            v16_store_tail(dst + c, x, n);
        }
    }
}

static void norm_row(const ms_norm_row_job *job) {
    for (int64_t c = 0; c < job->n; c += 16) {
        int64_t n = job->n - c;
        const float *p = job->src + c;
        v16 first = v16_load_tail(p, n), sum = v16_zero(), squares = v16_zero();
        for (int64_t x = 0; x < job->w; x++, p += job->src_x) {
            v16 d = v16_sub(v16_load_tail(p, n), first);
            sum = v16_add(sum, d);
            squares = v16_fma(d, d, squares);
        }
        v16_store_tail(job->sum + c, sum, n);
        v16_store_tail(job->squares + c, squares, n);
    }
}

static void layer_norm(const ms_layer_norm_job *job) {
    v16 sum = v16_zero(), squares = v16_zero();
    for (int64_t c = 0; c < job->n; c += 16)
        sum = v16_add(sum, v16_load_tail(job->src + c, job->n - c));
    float mean = v16_sum(sum) / (float)job->n;
    v16 means = v16_set1(mean);
    for (int64_t c = 0; c < job->n; c += 16) {
        v16 d = v16_keep(v16_sub(v16_load_tail(job->src + c, job->n - c), means), job->n - c);
        squares = v16_fma(d, d, squares);
    }
    v16 rstd = v16_set1(1.0f / sqrtf(v16_sum(squares) / (float)job->n + job->eps));
    for (int64_t c = 0; c < job->n; c += 16) {
        int64_t n = job->n - c;
        v16 x = v16_mul(v16_sub(v16_load_tail(job->src + c, n), means), rstd);
        x = v16_fma(x, v16_load_tail(job->gamma + c, n), v16_load_tail(job->beta + c, n));
        if (job->position)
            x = v16_add(x, v16_load_tail(job->position + c, n));
        v16_store_tail(job->dst + c, x, n);
    }
}

V16_INLINE v16 binary_op(ms_binary op, v16 a, v16 b) {
    switch (op) {
    case MS_BINARY_ADD:
        return v16_add(a, b);
    case MS_BINARY_SUB:
        return v16_sub(a, b);
    case MS_BINARY_MUL:
        return v16_mul(a, b);
    case MS_BINARY_DIV:
        break;
    }
    return v16_div(a, b);
}

static void binary(const ms_binary_job *job) {
    for (int64_t r = 0; r < job->rows; r++) {
        const float *a = job->a + r * job->a_row, *b = job->b + r * job->b_row;
        float *dst = job->dst + r * job->dst_row;
        for (int64_t c = 0; c < job->n; c += 16) {
            int64_t n = job->n - c;
            v16 x = binary_op(job->op, v16_load_tail(a + c, n), v16_load_tail(b + c, n));
            v16_store_tail(dst + c, v16_act(x, job->act, v16_zero()), n);
        }
    }
}

static void unary(const ms_unary_job *job) {
    for (int64_t r = 0; r < job->rows; r++) {
        const float *src = job->src + r * job->src_row;
        float *dst = job->dst + r * job->dst_row;
        for (int64_t c = 0; c < job->n; c += 16) {
            int64_t n = job->n - c;
            v16 slope = job->slope ? v16_load_tail(job->slope + c, n) : v16_zero();
            v16_store_tail(dst + c, v16_act(v16_load_tail(src + c, n), job->act, slope), n);
        }
    }
}

/* Sixteen depthwise weights, the last n real. */
V16_INLINE v16 load_taps(const void *base, int64_t at, int64_t n, ms_dtype dtype) {
    if (n >= 16)
        return v16_load_weight(base, at, dtype);
    const size_t bytes = ms_dtype_bytes(dtype);
    float part[16] = {0};
    memcpy(part, (const char *)base + (size_t)at * bytes, (size_t)n * bytes);
    return v16_load_weight(part, 0, dtype);
}

/* act(fma(x, scale, shift)), or x without a table. */
V16_INLINE v16 apply_prologue(const float *x, const float *scale_row, const float *shift, int64_t n,
                              ms_act act) {
    v16 y = v16_load_tail(x, n);
    if (scale_row)
        y = v16_fma(y, v16_load_tail(scale_row, n), v16_load_tail(shift, n));
    return scale_row && act == MS_ACT_SILU ? v16_silu(y) : y;
}

static void depthwise(const ms_depthwise_job *job) {
    for (int64_t c = 0; c < job->n; c += 16) {
        int64_t n = job->n - c;
        v16 acc = v16_zero();
        for (int t = 0; t < job->n_taps; t++) {
            v16 x = v16_zero();
            if (job->taps[t])
                x = apply_prologue(job->taps[t] + c, job->scale ? job->scale + c : NULL,
                                   job->scale ? job->shift + c : NULL, n, job->act);
            acc = v16_fma(x, load_taps(job->weight, t * job->n + c, n, job->dtype), acc);
        }
        v16_store_tail(job->dst + c, apply_epilogue(acc, &job->epilogue, c, n, job->residual), n);
    }
}

static void pool(const ms_pool_job *job) {
    for (int64_t c = 0; c < job->n; c += 16) {
        int64_t n = job->n - c;
        v16 acc = v16_load_tail(job->taps[0] + c, n);
        for (int t = 1; t < job->n_taps; t++) {
            v16 x = v16_load_tail(job->taps[t] + c, n);
            acc = job->average ? v16_add(acc, x) : v16_max(acc, x);
        }
        if (job->average)
            acc = v16_div(acc, v16_set1(job->divisor));
        v16_store_tail(job->dst + c, acc, n);
    }
}

/*
 * Chains of fused multiply-adds that stay in registers and hide the latency of two units of four cycles:
 * twelve zmm or, in six v16, twelve ymm. All lanes start apart, or the compiler would keep one for all.
 */
#if MS_SIMD_ISA == MS_SIMD_AVX512
#define PEAK_CHAINS 12
#define PEAK_ALL ROWS_12
#else
#define PEAK_CHAINS 6
#define PEAK_ALL ROWS_6
#endif
#define PEAK_START(r) v16 p##r = v16_add(lanes, v16_set1((float)(r)));
#define PEAK_STEP(r) p##r = v16_fma(p##r, x, y);
#define PEAK_JOIN(r) lanes = v16_add(lanes, p##r);

static float peak(int64_t fmas) {
    static const float start[16] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
    const v16 x = v16_set1(0.999f), y = v16_set1(0.001f);
    v16 lanes = v16_load(start);
    PEAK_ALL(PEAK_START)
    for (; fmas > 0; fmas -= PEAK_CHAINS) {
        PEAK_ALL(PEAK_STEP)
    }
    PEAK_ALL(PEAK_JOIN)
    return v16_sum(lanes);
}
