#include "device/weight.h"

static int64_t ceil_div(int64_t a, int64_t b) {
    return (a + b - 1) / b;
}

int64_t ms_panels(int64_t n, int groups) {
    return groups * ceil_div(n / groups, 16);
}

static bool valid(const ms_weight_shape *s) {
    if (s->n <= 0 || s->c_in <= 0 || s->kernel_h <= 0 || s->kernel_w <= 0 || s->groups <= 0 ||
        s->n % s->groups)
        return false;
    if (s->dtype != MS_F32 && s->dtype != MS_F16 && s->dtype != MS_BF16)
        return false;
    switch (s->layout) {
    case MS_LAYOUT_PANEL:
        return true;
    case MS_LAYOUT_GEGLU:
        return s->n % 2 == 0 && s->groups == 1 && s->kernel_h == 1 && s->kernel_w == 1;
    case MS_LAYOUT_WINOGRAD:
        return s->groups == 1 && s->kernel_h == 3 && s->kernel_w == 3;
    case MS_LAYOUT_DEPTHWISE:
        return s->groups == s->n && s->c_in == 1;
    }
    return false;
}

int64_t ms_weight_panels(const ms_weight_shape *s) {
    if (!valid(s))
        return 0;
    switch (s->layout) {
    case MS_LAYOUT_GEGLU:
        return 2 * ceil_div(s->n / 2, 16);
    case MS_LAYOUT_DEPTHWISE:
        return ceil_div(s->n, 16);
    case MS_LAYOUT_PANEL:
    case MS_LAYOUT_WINOGRAD:
        break;
    }
    return ms_panels(s->n, s->groups);
}

size_t ms_weight_bytes(const ms_weight_shape *s) {
    if (!valid(s))
        return 0;
    size_t rows = s->layout == MS_LAYOUT_DEPTHWISE ? (size_t)s->n : (size_t)ms_weight_panels(s) * 16, bytes;
    if (__builtin_mul_overflow(rows, (size_t)s->c_in, &bytes) ||
        __builtin_mul_overflow(bytes, (size_t)s->kernel_h * (size_t)s->kernel_w, &bytes) ||
        __builtin_mul_overflow(bytes, ms_dtype_bytes(s->dtype), &bytes))
        return 0;
    return bytes;
}

static void put(void *base, ms_dtype dtype, int64_t index, float x) {
    if (dtype == MS_F32)
        ((float *)base)[index] = x;
    else if (dtype == MS_F16)
        ((uint16_t *)base)[index] = ms_f32_to_f16(x);
    else
        ((uint16_t *)base)[index] = ms_f32_to_bf16(x);
}

void ms_weight_pack(const ms_weight_shape *s, int64_t panel, const float *const rows[16], void *base) {
    const int64_t taps = (int64_t)s->kernel_h * s->kernel_w, k = taps * s->c_in;
    for (int64_t tap = 0; tap < taps; tap++) {
        for (int64_t c = 0; c < s->c_in; c++) {
            int64_t at = panel * k * 16;
            if (s->layout == MS_LAYOUT_DEPTHWISE)
                at = tap * s->n + panel * 16;
            else if (s->layout == MS_LAYOUT_WINOGRAD)
                at += (c * 9 + tap) * 16;
            else
                at += (tap * s->c_in + c) * 16;
            for (int i = 0; i < 16; i++) {
                if (rows[i])
                    put(base, s->dtype, at + i, rows[i][c * taps + tap]);
                else if (s->layout != MS_LAYOUT_DEPTHWISE)
                    put(base, s->dtype, at + i, 0.0f);
            }
        }
    }
}

static float get(const void *base, ms_dtype dtype, int64_t index) {
    if (dtype == MS_F32)
        return ((const float *)base)[index];
    uint16_t x = ((const uint16_t *)base)[index];
    return dtype == MS_F16 ? ms_f16_to_f32(x) : ms_bf16_to_f32(x);
}

/* Where the matrix's row lies: the panel and the lane that ms_weight_row() names it for. */
static void place_of(const ms_weight_shape *s, int64_t row, int64_t *ret_panel, int64_t *ret_lane) {
    if (s->layout == MS_LAYOUT_GEGLU) {
        int64_t half = s->n / 2, at = row < half ? row : row - half;
        *ret_panel = at / 16 * 2 + (row < half ? 0 : 1);
        *ret_lane = at % 16;
        return;
    }
    int64_t n = s->n / (s->layout == MS_LAYOUT_DEPTHWISE ? 1 : s->groups), in_group = row % n;
    *ret_panel = row / n * ((n + 15) / 16) + in_group / 16;
    *ret_lane = in_group % 16;
}

ms_status ms_weight_prepare(const ms_weight_shape *s, ms_dtype raw, int64_t first_row, int64_t rows,
                            const void *src, void *dst) {
    if (!valid(s) || !src || !dst || first_row < 0 || rows < 1 || first_row > s->n - rows ||
        (raw != MS_F32 && raw != s->dtype))
        return MS_INVALID_ARGUMENT;
    const int64_t taps = (int64_t)s->kernel_h * s->kernel_w, k = taps * s->c_in;
    for (int64_t r = 0; r < rows; r++) {
        int64_t panel, lane, at = 0;
        place_of(s, first_row + r, &panel, &lane);
        for (int64_t c = 0; c < s->c_in; c++) {
            for (int64_t tap = 0; tap < taps; tap++) {
                if (s->layout == MS_LAYOUT_DEPTHWISE)
                    at = tap * s->n + panel * 16;
                else if (s->layout == MS_LAYOUT_WINOGRAD)
                    at = (panel * k + c * 9 + tap) * 16;
                else
                    at = (panel * k + tap * s->c_in + c) * 16;
                put(dst, s->dtype, at + lane, get(src, raw, r * k + c * taps + tap));
            }
        }
    }
    return MS_OK;
}
