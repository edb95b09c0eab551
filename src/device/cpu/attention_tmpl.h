/*
 * Attention of up to 32 queries of one head. Queries lie in the vectors' lanes, keys and channels along the
 * rows: scores S^T = K (scale Q)^T and outputs O^T = V^T P^T are both matrix tiles whose rows are read in
 * place from k and v, and the softmax goes down columns, so that nothing is reduced across lanes and a head
 * of any width (40 channels) wastes nothing.
 */

/* dst[c][lane] = src[lane][c] * factor for `rows` <= 16 lanes, zeros in the others. dst has 32 lanes. */
V16_INLINE void transpose_in(const float *src, int64_t src_row, int64_t rows, int64_t n, float factor,
                             float *dst) {
    for (int64_t c = 0; c < n; c += 16) {
        v16 t[16];
        for (int64_t r = 0; r < 16; r++)
            t[r] = r < rows ? v16_mul(v16_load_tail(src + r * src_row + c, n - c), v16_set1(factor))
                            : v16_zero();
        v16_transpose(t);
        for (int64_t i = 0; i < 16; i++)
            v16_store(dst + (c + i) * MS_ATTENTION_QUERIES, t[i]);
    }
}

/* dst[lane][c] = src[c][lane] / divisor[lane]. */
V16_INLINE void transpose_out(const float *src, v16 divisor, float *dst, int64_t dst_row, int64_t rows,
                              int64_t n) {
    for (int64_t c = 0; c < n; c += 16) {
        v16 t[16];
        for (int64_t i = 0; i < 16; i++)
            t[i] = v16_div(v16_load(src + (c + i) * MS_ATTENTION_QUERIES), divisor);
        v16_transpose(t);
        for (int64_t r = 0; r < rows; r++)
            v16_store_tail(dst + r * dst_row + c, t[r], n - c);
    }
}

/* Scores to probabilities for sixteen queries; returns what the earlier output and sum are multiplied by. */
V16_INLINE v16 softmax_block(float *s, int64_t keys, v16 *m, v16 *l) {
    v16 most = *m, sum = v16_zero();
    for (int64_t j = 0; j < keys; j++)
        most = v16_max(most, v16_load(s + j * MS_ATTENTION_QUERIES));
    for (int64_t j = 0; j < keys; j++) {
        v16 p = v16_exp(v16_sub(v16_load(s + j * MS_ATTENTION_QUERIES), most));
        sum = v16_add(sum, p);
        v16_store(s + j * MS_ATTENTION_QUERIES, p);
    }
    v16 alpha = v16_exp(v16_sub(*m, most));
    *l = v16_fma(*l, alpha, sum);
    *m = most;
    return alpha;
}

V16_INLINE void scale_columns(float *o, int64_t n, v16 alpha) {
    for (int64_t c = 0; c < n; c++)
        v16_store(o + c * MS_ATTENTION_QUERIES, v16_mul(v16_load(o + c * MS_ATTENTION_QUERIES), alpha));
}

static void attention(const ms_attention_job *job) {
    const int64_t d = job->head_dim, padded = (d + 15) / 16 * 16;
    const bool two = job->queries > 16;
    const int halves = two ? 2 : 1;
    float *q = job->workspace, *o = q + padded * MS_ATTENTION_QUERIES, *s = o + padded * MS_ATTENTION_QUERIES;
    v16 m[2], l[2];
    for (int half = 0; half < halves; half++) {
        int64_t first = half * 16, rows = job->queries - first < 16 ? job->queries - first : 16;
        transpose_in(job->q + first * job->q_token, job->q_token, rows, d, job->scale, q + first);
        m[half] = v16_set1(-INFINITY);
        l[half] = v16_zero();
    }
    for (int64_t j = 0; j < job->keys; j += MS_ATTENTION_KEYS) {
        int64_t keys = job->keys - j < MS_ATTENTION_KEYS ? job->keys - j : MS_ATTENTION_KEYS;
        ms_gemm_job scores = {.rows = keys,
                              .k = d,
                              .a = job->k + j * job->k_token,
                              .a_row = job->k_token,
                              .a_k = 1,
                              .b = {q, two ? q + 16 : NULL},
                              .b_k = MS_ATTENTION_QUERIES,
                              .c = s,
                              .c_row = MS_ATTENTION_QUERIES};
        gemm_f32(&scores);
        for (int half = 0; half < halves; half++) {
            v16 alpha = softmax_block(s + half * 16, keys, &m[half], &l[half]);
            if (j > 0)
                scale_columns(o + half * 16, d, alpha);
        }
        ms_gemm_job outputs = {.rows = d,
                               .k = keys,
                               .a = job->v + j * job->v_token,
                               .a_row = 1,
                               .a_k = job->v_token,
                               .b = {s, two ? s + 16 : NULL},
                               .b_k = MS_ATTENTION_QUERIES,
                               .c = o,
                               .c_row = MS_ATTENTION_QUERIES,
                               .accumulate = j > 0};
        gemm_f32(&outputs);
    }
    for (int half = 0; half < halves; half++) {
        int64_t first = half * 16, rows = job->queries - first < 16 ? job->queries - first : 16;
        transpose_out(o + first, l[half], job->out + first * job->out_token, job->out_token, rows, d);
    }
}
