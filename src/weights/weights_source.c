/* Where parameters' values come from: finding and checking tensors, rounding,
   packing into the back end's layout. */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "weights/weights_internal.h"

#define NAME_MAX_BYTES 512

/* ---- finding and checking ---- */

static const ms_tensor_info *find_tensor(const ms_tensor_file *file, const char *prefix, const char *name) {
    char full[NAME_MAX_BYTES];
    if (!name)
        return NULL;
    if (!prefix || !prefix[0])
        return ms_tensor_file_find(file, name);
    int n = snprintf(full, sizeof(full), "%s%s", prefix, name);
    return n < 0 || (size_t)n >= sizeof(full) ? NULL : ms_tensor_file_find(file, full);
}

static const ms_tensor_info *find_part(const ms_tensor_file *file, const char *prefix, const ms_param_decl *d,
                                       int part) {
    const ms_tensor_info *t = find_tensor(file, prefix, d->name[part]);
    return t ? t : find_tensor(file, prefix, d->other_name[part]);
}

static void print_shape(char *text, size_t size, int rank, const int64_t *shape) {
    size_t n = 0;
    text[0] = 0;
    for (int i = 0; i < rank && n < size; i++)
        n += (size_t)snprintf(text + n, size - n, "%s%" PRId64, i ? ", " : "", shape[i]);
}

static ms_status check_part(const ms_tensor_file *file, const char *prefix, const ms_loaded_param *p,
                            int part, ms_error *err) {
    const ms_param_decl *d = p->decl;
    const ms_tensor_info *t = find_part(file, prefix, d, part);
    char want[96], have[192];
    print_shape(want, sizeof(want), d->rank, d->shape);
    if (!t)
        return ms_fail(err, MS_BAD_MODEL, "%s: tensor %s is missing (shape [%s] by the config)",
                       ms_tensor_file_path(file), d->name[part], want);
    bool same = t->rank == d->rank;
    for (int i = 0; i < d->rank && same; i++)
        same = t->shape[i] == d->shape[i];
    if (!same) {
        print_shape(have, sizeof(have), t->rank, t->shape);
        return ms_fail(err, MS_BAD_MODEL, "%s: tensor %s has shape [%s], the config asks for [%s]",
                       ms_tensor_file_path(file), t->name, have, want);
    }
    if (!ms_dtype_is_float(t->dtype))
        return ms_fail(err, MS_BAD_MODEL, "%s: tensor %s has type %s, which is no floating type",
                       ms_tensor_file_path(file), t->name, ms_dtype_name(t->dtype));
    return MS_OK;
}

static float round_to(float x, ms_dtype precision) {
    if (precision == MS_F16)
        return ms_f16_to_f32(ms_f32_to_f16(x));
    if (precision == MS_BF16)
        return ms_bf16_to_f32(ms_f32_to_bf16(x));
    return x;
}

/* Names the element that is too large for the precision, or no number. It is only
   called when there is one. */
static ms_status refuse_values(const ms_tensor_file *file, const ms_tensor_info *t, int64_t first,
                               const float *values, int64_t count, ms_dtype precision, ms_error *err) {
    int64_t i = 0;
    while (i + 1 < count && isfinite(round_to(values[i], precision)))
        i++;
    float x = values[i];
    if (!isfinite(x))
        return ms_fail(err, MS_BAD_MODEL, "%s: tensor %s holds %s at element %" PRId64,
                       ms_tensor_file_path(file), t->name, isnan(x) ? "NaN" : "infinity", first + i);
    return ms_fail(err, MS_BAD_MODEL, "%s: tensor %s holds %g at element %" PRId64 ", too large for %s",
                   ms_tensor_file_path(file), t->name, (double)x, first + i, ms_dtype_name(precision));
}

/* Bits of the smallest magnitude that becomes infinite. */
static uint32_t limit_bits(ms_dtype precision) {
    return precision == MS_F16 ? 0x477ff000u : precision == MS_BF16 ? 0x7f7f8000u : 0x7f800000u;
}

/* Rounds in place and refuses what is not finite, before or after. The magnitudes of floats are in the order
   of their bits, so that one maximum decides for all: a loop without branches. */
static ms_status round_and_check(const ms_tensor_file *file, const ms_tensor_info *t, int64_t first,
                                 float *values, int64_t count, ms_dtype precision, ms_error *err) {
    uint32_t largest = 0;
    for (int64_t i = 0; i < count; i++) {
        uint32_t magnitude = ms_float_bits(values[i]) & 0x7fffffffu;
        largest = magnitude > largest ? magnitude : largest;
    }
    if (largest >= limit_bits(precision))
        return refuse_values(file, t, first, values, count, precision, err);
    if (t->dtype == precision || precision == MS_F32)
        return MS_OK;
    for (int64_t i = 0; i < count; i++)
        values[i] = round_to(values[i], precision);
    return MS_OK;
}

static ms_status read_values(const ms_tensor_file *file, const ms_tensor_info *t, int64_t first,
                             int64_t count, ms_dtype precision, float *dst, ms_error *err) {
    MS_TRY(ms_tensor_file_read_f32(file, t, first, count, dst, err));
    return round_and_check(file, t, first, dst, count, precision, err);
}

/* ---- panels ---- */

/* In-memory type: what the precision says, or, at full precision, what the file has
   (a double becomes a float). */
static ms_dtype memory_dtype(ms_dtype precision, ms_dtype stored) {
    if (precision != MS_F32)
        return precision;
    return stored == MS_F16 || stored == MS_BF16 ? stored : MS_F32;
}

/* Random values that keep activations in range: norms around 1, biases around 0, matrices by their number of
   inputs. A value depends on the seed, the parameter and its place, not on who fills it. */
static void random_values(const ms_weight_source *from, const ms_loaded_param *p, int64_t first,
                          int64_t count, ms_dtype dtype, float *dst) {
    const char *name = p->decl->name[0] ? p->decl->name[0] : p->decl->name[1];
    bool centre = p->decl->vector && strstr(name, "norm") && strstr(name, "weight");
    float spread = p->decl->vector ? 0.05f : sqrtf(3.0f / (float)(p->elements / p->decl->shape[0]));
    uint64_t param = (uint64_t)p->index;
    for (int64_t i = 0; i < count; i++) { /* splitmix64 (Steele, Lea, Flood 2014) of the place */
        uint64_t z = from->seed + (param << 40) + (uint64_t)(first + i) * 0x9e3779b97f4a7c15u;
        z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
        z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
        float x = (float)(int32_t)(z >> 32) * 0x1p-31f * spread;
        dst[i] = round_to(centre ? 1.0f + x : x, dtype);
    }
}

/* Elements first .. of one part, rounded to the dtype and checked. */
static ms_status get_values(const ms_weight_source *from, const ms_loaded_param *p, int part, int64_t first,
                            int64_t count, ms_dtype dtype, float *dst, ms_error *err) {
    if (!from->file) {
        random_values(from, p, part * p->elements + first, count, dtype, dst);
        return MS_OK;
    }
    return read_values(from->file, find_part(from->file, from->prefix, p->decl, part), first, count, dtype,
                       dst, err);
}

static ms_dtype part_dtype(const ms_weight_source *from, const ms_loaded_param *p, int part) {
    return memory_dtype(from->precision,
                        from->file ? find_part(from->file, from->prefix, p->decl, part)->dtype : MS_F32);
}

ms_status ms_source_read_vector(const ms_weight_source *from, const ms_loaded_param *p, int64_t first,
                                int64_t count, float *dst, ms_error *err) {
    int part = (int)(first / p->elements);
    if (p->decl->name[part])
        return get_values(from, p, part, first % p->elements, count, part_dtype(from, p, part), dst, err);
    memset(dst, 0, (size_t)count * sizeof(float));
    return MS_OK;
}

static ms_status load_vector(const ms_weight_source *from, const ms_loaded_param *p, float *dst,
                             ms_error *err) {
    for (int64_t first = 0; first < p->elements * p->decl->parts; first += p->elements)
        MS_TRY(ms_source_read_vector(from, p, first, p->elements, dst + first, err));
    return MS_OK;
}

/* ---- rows as the file has them ---- */

ms_dtype ms_source_raw_dtype(const ms_weight_source *from, const ms_loaded_param *p) {
    for (int part = 0; part < p->decl->parts; part++) {
        if (!from->file || find_part(from->file, from->prefix, p->decl, part)->dtype != p->dtype)
            return MS_F32;
    }
    return p->dtype;
}

/* The largest magnitude of 16-bit floats; they are in the order of their bits. */
static uint32_t largest_of(const uint16_t *values, int64_t count) {
    uint32_t largest = 0;
    for (int64_t i = 0; i < count; i++) {
        uint32_t magnitude = values[i] & 0x7fffu;
        largest = magnitude > largest ? magnitude : largest;
    }
    return largest;
}

/* Half floats that are not finite: found out one block after the other, to name the element. */
static ms_status refuse_halves(const ms_weight_source *from, const ms_tensor_info *t, int64_t first,
                               int64_t count, ms_error *err) {
    float block[1024];
    for (int64_t done = 0, n; done < count; done += n) {
        n = count - done < 1024 ? count - done : 1024;
        MS_TRY(read_values(from->file, t, first + done, n, MS_F32, block, err));
    }
    return ms_fail(err, MS_BAD_MODEL, "%s: tensor %s changed while it was read",
                   ms_tensor_file_path(from->file), t->name);
}

ms_status ms_source_read_rows(const ms_weight_source *from, const ms_loaded_param *p, ms_dtype raw,
                              int64_t first_row, int64_t rows, void *dst, ms_error *err) {
    int64_t row = p->elements / p->decl->shape[0], first = first_row % p->decl->shape[0] * row,
            count = rows * row;
    int part = (int)(first_row / p->decl->shape[0]);
    if (raw == MS_F32)
        return get_values(from, p, part, first, count, p->dtype, dst, err);
    const ms_tensor_info *t = find_part(from->file, from->prefix, p->decl, part);
    MS_TRY(ms_tensor_file_read(from->file, t, first, count, dst, err));
    if (largest_of(dst, count) >= (raw == MS_F16 ? 0x7c00u : 0x7f80u))
        return refuse_halves(from, t, first, count, err);
    return MS_OK;
}

static ms_status load_panel(const ms_weight_source *from, const ms_loaded_param *p, int64_t panel, void *dst,
                            float *scratch, ms_error *err) {
    ms_weight_shape s = ms_loaded_shape(from->w, p);
    int64_t row_elements = p->elements / p->decl->shape[0], part_rows = p->decl->shape[0];
    const float *rows[MS_PANEL_ROWS] = {0};
    for (int lane = 0; lane < MS_PANEL_ROWS;) {
        int64_t row = ms_weight_row(&s, panel, lane);
        if (row < 0)
            break;   /* padding comes last */
        int run = 1; /* rows that follow each other in the same part are read at once */
        while (lane + run < MS_PANEL_ROWS && ms_weight_row(&s, panel, lane + run) == row + run &&
               (row + run) / part_rows == row / part_rows)
            run++;
        MS_TRY(get_values(from, p, (int)(row / part_rows), row % part_rows * row_elements, run * row_elements,
                          p->dtype, scratch + lane * row_elements, err));
        for (int i = 0; i < run; i++)
            rows[lane + i] = scratch + (lane + i) * row_elements;
        lane += run;
    }
    if (dst)
        from->w->compute.dev->backend->weight_pack(&s, panel, rows, dst);
    return MS_OK;
}

ms_status ms_source_describe(const ms_weight_source *from, const ms_loaded_param *p, ms_dtype *ret_dtype,
                             ms_error *err) {
    ms_dtype dtype = MS_F32;
    for (int part = 0; part < p->decl->parts; part++) {
        if (!p->decl->name[part])
            continue;
        if (from->file)
            MS_TRY(check_part(from->file, from->prefix, p, part, err));
        ms_dtype this_one = part_dtype(from, p, part);
        if (part > 0 && this_one != dtype)
            this_one = MS_F32; /* parts of different types: the one that holds all exactly */
        dtype = this_one;
    }
    *ret_dtype = dtype;
    return MS_OK;
}

int64_t ms_source_tasks(const ms_weight_source *from, const ms_loaded_param *p) {
    ms_weight_shape s = ms_loaded_shape(from->w, p);
    return p->decl->vector || from->w->compute.dev->caps.raw_weights
               ? 1
               : from->w->compute.dev->backend->weight_panels(&s);
}

size_t ms_source_scratch_floats(const ms_loaded_param *p) {
    return p->decl->vector ? 0 : (size_t)(p->elements / p->decl->shape[0]) * MS_PANEL_ROWS;
}

ms_status ms_source_run_task(const ms_weight_source *from, const ms_loaded_param *p, int64_t task, void *dst,
                             float *scratch, ms_error *err) {
    return p->decl->vector ? load_vector(from, p, dst, err) : load_panel(from, p, task, dst, scratch, err);
}

/* ---- verifying ---- */

ms_status ms_source_verify_part(const ms_weight_source *from, const ms_loaded_param *p, int part,
                                float *block, ms_error *err) {
    MS_TRY(check_part(from->file, from->prefix, p, part, err));
    const ms_tensor_info *t = find_part(from->file, from->prefix, p->decl, part);
    for (int64_t first = 0; block && first < t->elements; first += MS_SOURCE_VERIFY_FLOATS) {
        int64_t count =
            t->elements - first < MS_SOURCE_VERIFY_FLOATS ? t->elements - first : MS_SOURCE_VERIFY_FLOATS;
        MS_TRY(read_values(from->file, t, first, count, MS_F32, block, err));
    }
    return MS_OK;
}
