/* Tensors of golden cases in tests: whole files in memory as float64, and comparing with the tolerances of
   the golden README: maximum absolute difference and relative L2. */
#ifndef MS_TESTS_SUPPORT_MODELS_TENSORS_H
#define MS_TESTS_SUPPORT_MODELS_TENSORS_H

#include "test.h"

#include "formats/tensor_file.h"
#include "support/golden.h"

typedef struct test_tensor {
    double *data;
    int rank;
    int64_t shape[MS_TENSOR_MAX_RANK];
    int64_t elements;
} test_tensor;

/* Fails the test when the tensor is not there. Free data with free(). */
static inline test_tensor test_tensor_read(const ms_tensor_file *file, const char *name) {
    ms_error err;
    const ms_tensor_info *info = ms_tensor_file_find(file, name);
    if (!info)
        fail_msg("%s has no tensor %s", ms_tensor_file_path(file), name);
    test_tensor t = {.rank = info->rank, .elements = info->elements};
    memcpy(t.shape, info->shape, sizeof(t.shape));
    t.data = malloc((size_t)(t.elements + 1) * sizeof(double));
    if (info->dtype == MS_F64) {
        assert_ms_ok(ms_tensor_file_read(file, info, 0, t.elements, t.data, &err), &err);
        return t;
    }
    if (info->dtype == MS_I64) { /* random words do not fit a float */
        int64_t *words = malloc((size_t)(t.elements + 1) * sizeof(int64_t));
        assert_ms_ok(ms_tensor_file_read(file, info, 0, t.elements, words, &err), &err);
        for (int64_t i = 0; i < t.elements; i++)
            t.data[i] = (double)words[i];
        free(words);
        return t;
    }
    float *values = malloc((size_t)(t.elements + 1) * sizeof(float));
    assert_ms_ok(ms_tensor_file_read_f32(file, info, 0, t.elements, values, &err), &err);
    for (int64_t i = 0; i < t.elements; i++)
        t.data[i] = (double)values[i];
    free(values);
    return t;
}

/* Elements of `actual` that a golden tensor kept. */
typedef struct test_selection {
    int fixed; /* leading axes of `actual` with one index each, given in `index` ... */
    int64_t index[4];
    int channel_axis; /* ... and, on this axis of `actual`, only channels 1, 1 + every, ...; -1 = all */
    int64_t every;
    int64_t row_offset; /* added to the first index that is not fixed */
} test_selection;

/* Position in `actual` of element i of a golden tensor. Axes of length 1 in front
   of the golden tensor count as fixed. */
static inline int64_t test_selected(const test_selection *s, const test_tensor *actual,
                                    const test_tensor *golden, int64_t i) {
    int64_t at[MS_TENSOR_MAX_RANK] = {0};
    int free_axes = actual->rank - s->fixed;
    for (int a = 0; a < s->fixed; a++)
        at[a] = s->index[a];
    for (int a = 0; a < free_axes; a++) { /* from the last axis */
        int64_t length = golden->shape[golden->rank - 1 - a];
        at[actual->rank - 1 - a] = i % length;
        i /= length;
    }
    if (s->channel_axis >= 0)
        at[s->channel_axis] = 1 + at[s->channel_axis] * s->every;
    if (s->fixed < actual->rank)
        at[s->fixed] += s->row_offset;
    int64_t position = 0;
    for (int a = 0; a < actual->rank; a++) {
        assert_true(at[a] < actual->shape[a]);
        position = position * actual->shape[a] + at[a];
    }
    return position;
}

typedef struct test_tolerance {
    double max_abs, rel_l2; /* rel_l2 0 = not checked */
} test_tolerance;

static inline void test_compare(const char *what, const test_tensor *actual, const test_tensor *golden,
                                const test_selection *selection, test_tolerance tolerance) {
    double worst = 0, difference = 0, norm = 0;
    for (int64_t i = 0; i < golden->elements; i++) {
        double a = actual->data[selection ? test_selected(selection, actual, golden, i) : i],
               g = golden->data[i];
        double d = fabs(a - g);
        if (!(d <= worst))
            worst = d;
        difference += d * d;
        norm += g * g;
    }
    double rel = norm > 0 ? sqrt(difference / norm) : sqrt(difference);
    if (!(worst <= tolerance.max_abs) || (tolerance.rel_l2 > 0 && !(rel <= tolerance.rel_l2)))
        fail_msg("%s: max %.3g (allowed %.3g), relative L2 %.3g (allowed %.3g)", what, worst,
                 tolerance.max_abs, rel, tolerance.rel_l2);
    print_message("    %-48s max %.2e of %.0e, rel %.2e\n", what, worst, tolerance.max_abs, rel);
}

#endif
