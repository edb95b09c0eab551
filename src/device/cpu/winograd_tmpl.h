/*
 * The three transforms of Winograd's F(4x4, 3x3) (Winograd 1980; Lavin and Gray, "Fast algorithms for
 * convolutional neural networks", 2015), built by Cook and Toom's scheme on the points 0, +-5/8, +-3/2 and
 * infinity.
 *
 * Why these: against double, over 1280 channels, the usual 0, +-1, +-2 give 6e-6 relative rms, these 3e-6
 * (the direct sum itself has 2e-6); over 320 channels 3.2e-6, 1.6e-6 and 1.0e-6. With a = 5/8, b = 3/2 every
 * constant of the input and output transforms is exact in float.
 */

#define WA 0.625f
#define WB 1.5f
#define WA2 (WA * WA)
#define WB2 (WB * WB)

/* B^T d: the polynomials prod over the other points (x - p), evaluated by even and odd parts. */
V16_INLINE void input_1d(const v16 d[6], v16 r[6]) {
    const v16 a2 = v16_set1(WA2), b2 = v16_set1(WB2), a = v16_set1(WA), b = v16_set1(WB);
    const v16 product = v16_set1(WA2 * WB2), sum = v16_set1(WA2 + WB2);
    v16 even_a = v16_fnma(b2, d[2], d[4]), odd_a = v16_fnma(b2, d[1], d[3]);
    v16 even_b = v16_fnma(a2, d[2], d[4]), odd_b = v16_fnma(a2, d[1], d[3]);
    r[0] = v16_fma(product, d[0], v16_fnma(sum, d[2], d[4]));
    r[1] = v16_fma(a, odd_a, even_a);
    r[2] = v16_fnma(a, odd_a, even_a);
    r[3] = v16_fma(b, odd_b, even_b);
    r[4] = v16_fnma(b, odd_b, even_b);
    r[5] = v16_fma(product, d[1], v16_fnma(sum, d[3], d[5]));
}

/* G g: 1, p, p^2 over prod over the other points (p - q). */
V16_INLINE void weight_1d(const v16 g[3], v16 r[6]) {
    const float na = (float)(1.0 / (2.0 * WA2 * (WA2 - WB2))), nb = (float)(1.0 / (2.0 * WB2 * (WB2 - WA2)));
    v16 even_a = v16_fma(v16_set1(WA2 * na), g[2], v16_mul(v16_set1(na), g[0]));
    v16 even_b = v16_fma(v16_set1(WB2 * nb), g[2], v16_mul(v16_set1(nb), g[0]));
    r[0] = v16_mul(v16_set1((float)(1.0 / (WA2 * WB2))), g[0]);
    r[1] = v16_fma(v16_set1(WA * na), g[1], even_a);
    r[2] = v16_fnma(v16_set1(WA * na), g[1], even_a);
    r[3] = v16_fma(v16_set1(WB * nb), g[1], even_b);
    r[4] = v16_fnma(v16_set1(WB * nb), g[1], even_b);
    r[5] = g[2];
}

/* A^T m: the powers 0 to 3 of the points. */
V16_INLINE void output_1d(const v16 m[6], v16 r[4]) {
    v16 sum_a = v16_add(m[1], m[2]), difference_a = v16_sub(m[1], m[2]);
    v16 sum_b = v16_add(m[3], m[4]), difference_b = v16_sub(m[3], m[4]);
    r[0] = v16_add(m[0], v16_add(sum_a, sum_b));
    r[1] = v16_fma(v16_set1(WB), difference_b, v16_mul(v16_set1(WA), difference_a));
    r[2] = v16_fma(v16_set1(WB2), sum_b, v16_mul(v16_set1(WA2), sum_a));
    r[3] = v16_fma(v16_set1(WB2 * WB), difference_b, v16_fma(v16_set1(WA2 * WA), difference_a, m[5]));
}

static void winograd_input(const ms_winograd_input_job *job) {
    for (int64_t c = 0; c < job->n; c += 16) {
        int64_t n = job->n - c;
        v16 rows[6][6]; /* [x point][image row] */
        for (int y = 0; y < 6; y++) {
            v16 d[6], r[6];
            for (int x = 0; x < 6; x++)
                d[x] = v16_load_tail(job->src + y * job->src_y + x * job->src_x + c, n);
            input_1d(d, r);
            for (int x = 0; x < 6; x++)
                rows[x][y] = r[x];
        }
        for (int x = 0; x < 6; x++) {
            v16 r[6];
            input_1d(rows[x], r);
            for (int y = 0; y < 6; y++)
                v16_store_tail(job->v + (y * 6 + x) * job->v_point + c, r[y], n);
        }
    }
}

V16_INLINE void weight_panel(const void *taps, ms_dtype dtype, int group, int64_t c, float *u,
                             int64_t u_point) {
    v16 columns[2][3]; /* the group's two x points of each row of taps */
    for (int y = 0; y < 3; y++) {
        v16 g[3], r[6];
        for (int x = 0; x < 3; x++)
            g[x] = v16_load_weight(taps, (c * 9 + y * 3 + x) * MS_PANEL, dtype);
        weight_1d(g, r);
        columns[0][y] = r[group == 0 ? 0 : 2 * group - 1];
        columns[1][y] = r[group == 0 ? 5 : 2 * group];
    }
    for (int i = 0; i < 2; i++) {
        v16 r[6];
        weight_1d(columns[i], r);
        for (int y = 0; y < 6; y++)
            v16_store(u + (i * 6 + y) * u_point, r[y]);
    }
}

/* group is a constant in every caller, so that what it does not use is not computed. */
V16_INLINE void weight_panels(const ms_winograd_weight_job *job, ms_dtype dtype, int group) {
    for (int64_t c = 0; c < job->c_in; c++) {
        weight_panel(job->taps[0], dtype, group, c, job->u + c * MS_PAIR, job->u_point);
        if (job->taps[1])
            weight_panel(job->taps[1], dtype, group, c, job->u + c * MS_PAIR + MS_PANEL, job->u_point);
    }
}

V16_INLINE void weight_groups(const ms_winograd_weight_job *job, ms_dtype dtype) {
    if (job->group == 0)
        weight_panels(job, dtype, 0);
    else if (job->group == 1)
        weight_panels(job, dtype, 1);
    else
        weight_panels(job, dtype, 2);
}

static void winograd_weight(const ms_winograd_weight_job *job) {
    if (job->dtype == MS_F32)
        weight_groups(job, MS_F32);
    else if (job->dtype == MS_F16)
        weight_groups(job, MS_F16);
    else
        weight_groups(job, MS_BF16);
}

static void winograd_output(const ms_winograd_output_job *job) {
    for (int64_t at = 0; at < job->columns; at += 16) {
        int64_t n = job->columns - at;
        v16 rows[4][6]; /* [x][y point] */
        for (int y = 0; y < 6; y++) {
            v16 m[6], r[4];
            for (int x = 0; x < 6; x++)
                m[x] = v16_load(job->m + (y * 6 + x) * job->m_point + at);
            output_1d(m, r);
            for (int x = 0; x < 4; x++)
                rows[x][y] = r[x];
        }
        for (int x = 0; x < job->w; x++) {
            v16 r[4];
            output_1d(rows[x], r);
            for (int y = 0; y < job->h; y++) {
                const float *residual =
                    job->residual ? job->residual + y * job->residual_y + x * job->residual_x : NULL;
                v16 out = apply_epilogue(r[y], &job->epilogue, at, n, residual);
                v16_store_tail(job->dst + y * job->dst_y + x * job->dst_x + at, out, n);
            }
        }
    }
}
