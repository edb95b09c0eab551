/*
 * The matrix tile. A tile is R rows by one or two panels of 16 columns, held in registers over the whole of
 * k: 12 x 32 on AVX-512 (24 of 32 registers; 24 fused multiply-adds for 14 loads), 6 x 16 on AVX2 (12 of 16),
 * 4 x 16 in C. Accumulators are named one by one: gcc 12 keeps arrays of them in memory.
 *
 * Rows are read in place, each element broadcast, with any two strides: a row of a tensor (a_k = 1), or its
 * transpose (a_row = 1). Nothing needs to be packed for that: a row's cache line serves 16 steps of k, so the
 * loads hit the first-level cache all but always.
 */

typedef struct gemm_rows {
    const float *a;
    int64_t a_row, a_k;
    const void *b0, *b1;
    int64_t b_k, k;
    float *c;
    int64_t c_row;
    bool accumulate;
    float *widened;
    uintptr_t next;
} gemm_rows;

#define ROWS_1(X) X(0)
#define ROWS_2(X) ROWS_1(X) X(1)
#define ROWS_4(X) ROWS_2(X) X(2) X(3)
#define ROWS_6(X) ROWS_4(X) X(4) X(5)
#define ROWS_8(X) ROWS_6(X) X(6) X(7)
#define ROWS_12(X) ROWS_8(X) X(8) X(9) X(10) X(11)

/* Row r of the tile at step k is at a[r / 4] + (r % 4) * a_row: three pointers and a stride reach 12 rows. */
#define A_ELEMENT(r) ((r) < 4 ? a0 : (r) < 8 ? a4 : a8)[((r) % 4) * a_row]

#define ACC_DECLARE(r) v16 x##r, y##r;
#define ACC_LOAD(r)                                                                                          \
    x##r = g->accumulate ? v16_load(g->c + (r)*g->c_row) : v16_zero();                                       \
    y##r = two && g->accumulate ? v16_load(g->c + (r)*g->c_row + 16) : v16_zero();
#define ACC_STEP(r)                                                                                          \
    {                                                                                                        \
        v16 a = v16_set1(A_ELEMENT(r));                                                                      \
        x##r = v16_fma(a, b0, x##r);                                                                         \
        if (two)                                                                                             \
            y##r = v16_fma(a, b1, y##r);                                                                     \
    }
#define ACC_STORE(r)                                                                                         \
    v16_store(g->c + (r)*g->c_row, x##r);                                                                    \
    if (two)                                                                                                 \
        v16_store(g->c + (r)*g->c_row + 16, y##r);

/*
 * The full tile fetches on the way what comes next, a cache line a step: in every 16 steps, which
 * is what a line of a row serves, a line of each row of the next tile, then some lines of the next
 * pair of panels. Without the first, rows that lie in the third-level cache or behind it cost 10
 * to 25 %. The lines of weights are as many as the tiles of 96 rows need to fetch them all.
 */
#if MS_SIMD_ISA == MS_SIMD_AVX512
#define GEMM_FIRST 12
#define GEMM_NEXT_LINES 4
#elif MS_SIMD_ISA == MS_SIMD_AVX2
#define GEMM_FIRST 6
#define GEMM_NEXT_LINES 1
#else
#define GEMM_FIRST 4
#define GEMM_NEXT_LINES 1
#endif

/* dtype, two and keep are constants in every caller. keep: the widened weights are stored on the way. */
#define GEMM_TILE(R)                                                                                         \
    V16_INLINE void gemm_tile_##R(const gemm_rows *g, ms_dtype dtype, bool two, bool keep) {                 \
        ROWS_##R(ACC_DECLARE) ROWS_##R(ACC_LOAD) const int64_t a_row = g->a_row, a_k = g->a_k;               \
        const float *a0 = g->a, *a4 = g->a + 4 * a_row, *a8 = g->a + 8 * a_row;                              \
        (void)a4, (void)a8;                                                                                  \
        float *widened = g->widened;                                                                         \
        uintptr_t ahead = (uintptr_t)g->a + (R) * sizeof(float) * (uintptr_t)a_row;                          \
        uintptr_t next = g->next;                                                                            \
        int slot = 0;                                                                                        \
        int64_t index = 0;                                                                                   \
        for (int64_t k = g->k; k > 0; k--) {                                                                 \
            v16 b0 = v16_load_weight(g->b0, index, dtype);                                                   \
            v16 b1 = two ? v16_load_weight(g->b1, index, dtype) : v16_zero();                                \
            if (keep)                                                                                        \
                v16_store(widened, b0);                                                                      \
            if (keep && two)                                                                                 \
                v16_store(widened + 16, b1);                                                                 \
            if (keep) /* it is NULL else, to which C 17 allows nothing to be added */                        \
                widened += MS_PAIR;                                                                          \
            if ((R) == GEMM_FIRST) {                                                                         \
                if (slot < (R)) {                                                                            \
                    __builtin_prefetch((const void *)ahead);                                                 \
                    ahead += sizeof(float) * (uintptr_t)a_row;                                               \
                } else if (slot < (R) + GEMM_NEXT_LINES) {                                                   \
                    __builtin_prefetch((const void *)next, 0, 2);                                            \
                    next += 64;                                                                              \
                }                                                                                            \
                if (++slot == 16) {                                                                          \
                    ahead += 64 - (R) * sizeof(float) * (uintptr_t)a_row;                                    \
                    slot = 0;                                                                                \
                }                                                                                            \
            }                                                                                                \
            ROWS_##R(ACC_STEP) index += g->b_k;                                                              \
            a0 += a_k;                                                                                       \
            a4 += a_k;                                                                                       \
            a8 += a_k;                                                                                       \
        }                                                                                                    \
        ROWS_##R(ACC_STORE)                                                                                  \
    }

/* What a full tile fetches of the next weights. */
V16_INLINE uintptr_t gemm_next_bytes(int64_t k) {
    return (uintptr_t)(k / 16 * GEMM_NEXT_LINES * 64);
}

/* Without next weights, what is at hand anyway: a fetch from nowhere would walk the page table. */
V16_INLINE uintptr_t gemm_next(const ms_gemm_job *job, int panel) {
    return job->next[panel] ? (uintptr_t)job->next[panel] : (uintptr_t)job->a;
}

/* Calls the tile of R rows as often as it fits. */
#define GEMM_RUN(R)                                                                                          \
    for (; rows >= (R); rows -= (R)) {                                                                       \
        gemm_tile_##R(&g, dtype, two, false);                                                                \
        g.a += (R)*g.a_row;                                                                                  \
        g.c += (R)*g.c_row;                                                                                  \
        g.next += gemm_next_bytes(g.k);                                                                      \
        if (two && half > 0 && rows <= half + (R)) {                                                         \
            g.next = gemm_next(job, 1);                                                                      \
            half = 0;                                                                                        \
        }                                                                                                    \
    }

#if MS_SIMD_ISA == MS_SIMD_AVX512
GEMM_TILE(12)
GEMM_TILE(8)
GEMM_TILE(4)
GEMM_TILE(2)
GEMM_TILE(1)
#define GEMM_TILES GEMM_RUN(12) GEMM_RUN(8) GEMM_RUN(4) GEMM_RUN(2) GEMM_RUN(1)
#define GEMM_FIRST_TILE gemm_tile_12
#define GEMM_TWO_PANELS 1
#elif MS_SIMD_ISA == MS_SIMD_AVX2
GEMM_TILE(6)
GEMM_TILE(4)
GEMM_TILE(2)
GEMM_TILE(1)
#define GEMM_TILES GEMM_RUN(6) GEMM_RUN(4) GEMM_RUN(2) GEMM_RUN(1)
#define GEMM_FIRST_TILE gemm_tile_6
#define GEMM_TWO_PANELS 0
#else
GEMM_TILE(4)
GEMM_TILE(2)
GEMM_TILE(1)
#define GEMM_TILES GEMM_RUN(4) GEMM_RUN(2) GEMM_RUN(1)
#define GEMM_FIRST_TILE gemm_tile_4
#define GEMM_TWO_PANELS 0
#endif

V16_INLINE gemm_rows gemm_rows_of(const ms_gemm_job *job, int panel) {
    return (gemm_rows){
        .a = job->a,
        .a_row = job->a_row,
        .a_k = job->a_k,
        .b0 = job->b[panel],
        .b1 = job->b[1],
        .b_k = job->b_k,
        .k = job->k,
        .c = job->c + panel * MS_PANEL,
        .c_row = job->c_row,
        .accumulate = job->accumulate,
        .widened = job->widened ? job->widened + panel * MS_PANEL : NULL,
        .next = gemm_next(job, panel),
    };
}

V16_INLINE void gemm_panels(const ms_gemm_job *job, int panel, ms_dtype dtype, bool two) {
    gemm_rows g = gemm_rows_of(job, panel);
    int64_t rows = job->rows, half = rows / 2; /* one panel's next for either half of the rows */
    GEMM_TILES
}

static void gemm_f32(const ms_gemm_job *job) {
    if (GEMM_TWO_PANELS && job->b[1]) {
        gemm_panels(job, 0, MS_F32, true);
        return;
    }
    gemm_panels(job, 0, MS_F32, false);
    if (job->b[1])
        gemm_panels(job, 1, MS_F32, false);
}

/* The first tile of rows widens the weights, the others find them widened. */
V16_INLINE void gemm_widening(const ms_gemm_job *job, ms_dtype dtype) {
    gemm_rows g = gemm_rows_of(job, 0);
    const bool two = job->b[1];
    if (GEMM_TWO_PANELS && two) {
        GEMM_FIRST_TILE(&g, dtype, true, true);
    } else {
        GEMM_FIRST_TILE(&g, dtype, false, true);
        g = gemm_rows_of(job, 1);
        if (two)
            GEMM_FIRST_TILE(&g, dtype, false, true);
    }
    ms_gemm_job rest = *job;
    rest.rows -= GEMM_FIRST;
    rest.a += GEMM_FIRST * job->a_row;
    rest.c += GEMM_FIRST * job->c_row;
    rest.b[0] = job->widened;
    rest.b[1] = two ? job->widened + MS_PANEL : NULL;
    rest.b_k = MS_PAIR;
    gemm_f32(&rest);
}

V16_INLINE void gemm_16_bit(const ms_gemm_job *job, ms_dtype dtype) {
    if (job->widened && job->rows > GEMM_FIRST) {
        gemm_widening(job, dtype);
        return;
    }
    if (GEMM_TWO_PANELS && job->b[1]) {
        gemm_panels(job, 0, dtype, true);
        return;
    }
    gemm_panels(job, 0, dtype, false);
    if (job->b[1])
        gemm_panels(job, 1, dtype, false);
}

static void gemm_f16(const ms_gemm_job *job) {
    gemm_16_bit(job, MS_F16);
}

static void gemm_bf16(const ms_gemm_job *job) {
    gemm_16_bit(job, MS_BF16);
}
