/* Networks from ONNX files: pooling, resizing, joining, views, what is computed from constants
   and shapes; and networks as a whole: other input sizes, slices, refusals, memory. */
#include "support/models/onnx_run.h"
#include "memsafe_have.h"

/* ---- images ---- */

static array pool_reference(const array *x, const window *k, bool average, bool count_pad, bool ceil_mode) {
    array y =
        array_new(DIMS(x->dim[0], x->dim[1], out_size(x, k, 0, ceil_mode), out_size(x, k, 1, ceil_mode)));
    for (int64_t i = 0; i < y.elements; i++) {
        int64_t ow = i % y.dim[3], oh = i / y.dim[3] % y.dim[2], c = i / y.dim[3] / y.dim[2];
        double sum = 0, most = -INFINITY;
        int count = 0, padded = 0;
        for (int64_t j = 0; j < k->kernel[0] * k->kernel[1]; j++) {
            int64_t h = oh * k->stride[0] + j / k->kernel[1] - k->pad[0];
            int64_t w = ow * k->stride[1] + j % k->kernel[1] - k->pad[1];
            padded += h < x->dim[2] + k->pad[2] && w < x->dim[3] + k->pad[3];
            if (h < 0 || h >= x->dim[2] || w < 0 || w >= x->dim[3])
                continue;
            double v = (double)x->data[(c * x->dim[2] + h) * x->dim[3] + w];
            most = v > most ? v : most;
            sum += v;
            count++;
        }
        y.data[i] = (float)(average ? sum / (count_pad ? padded : count) : most);
    }
    return y;
}

static void pools(void **state) {
    (void)state;
    uint64_t rng = 1;
    for (int round = 0; round < 60; round++) {
        window k = random_window(&rng, 3);
        bool average = round % 2, count_pad = round % 4 > 1, ceil_mode = round % 3 == 0;
        array x = array_random(
            &rng, DIMS(1 + test_rand(&rng) % 2, 1 + test_rand(&rng) % 20, 4 + test_rand(&rng) % 7, 5));
        onnx_model m = model_of(&x);
        model_node(&m, average ? "AveragePool" : "MaxPool", "x", "y");
        model_ints(&m, "kernel_shape", 2, k.kernel);
        model_ints(&m, "strides", 2, k.stride);
        model_ints(&m, "pads", 4, k.pad);
        model_int(&m, "ceil_mode", ceil_mode);
        if (average)
            model_int(&m, "count_include_pad", count_pad);
        computes(m, &x, pool_reference(&x, &k, average, count_pad, ceil_mode));
        free(x.data);
    }
    array x = array_random(&rng, DIMS(2, 3, 4, 5)), y = array_new(DIMS(2, 3, 1, 1));
    onnx_model m = model_of(&x);
    for (int64_t i = 0; i < x.elements; i++)
        y.data[i / 20] += x.data[i] / 20;
    model_node(&m, "GlobalAveragePool", "x", "y");
    computes(m, &x, y);
    m = model_of(&x);
    model_node(&m, "MaxPool", "x", "y");
    refuses(m, &x, MS_BAD_MODEL, "node 0 \"n_y\" (MaxPool): attribute kernel_shape is missing");
    m = model_of(&x);
    model_node(&m, "MaxPool", "x", "y");
    model_ints(&m, "kernel_shape", 2, (int64_t[]){9, 2});
    refuses(m, &x, MS_INVALID_ARGUMENT, "a window of 9x2 does not fit an image of 4x5");
    m = model_of(&x);
    model_node(&m, "MaxPool", "x", "y,indices");
    model_ints(&m, "kernel_shape", 2, (int64_t[]){2, 2});
    model_output(&m, "indices");
    refuses(m, &x, MS_BAD_MODEL, "its output 1 is used, which is not supported");
    free(x.data);
}

/* Nearest neighbour: pixel i comes from floor(i * old / new). */
static array resize_reference(const array *x, int64_t h, int64_t w) {
    array y = array_new(DIMS(x->dim[0], x->dim[1], h, w));
    for (int64_t i = 0; i < y.elements; i++)
        y.data[i] =
            x->data[(i / w / h * x->dim[2] + i / w % h * x->dim[2] / h) * x->dim[3] + i % w * x->dim[3] / w];
    return y;
}

static void resize_node(onnx_model *m, const char *inputs, const char *where, const char *nearest) {
    model_node(m, "Resize", inputs, "y");
    model_text(m, "mode", "nearest");
    model_text(m, "coordinate_transformation_mode", where);
    model_text(m, "nearest_mode", nearest);
}

static void resizing(void **state) {
    (void)state;
    static const int64_t sizes[][2] = {{4, 6}, {8, 12}, {12, 6}, {7, 11}, {2, 3}, {1, 1}};
    uint64_t rng = 2;
    array x = array_random(&rng, DIMS(2, 3, 4, 6));
    for (size_t i = 0; i < sizeof(sizes) / sizeof(*sizes); i++) {
        int64_t h = sizes[i][0], w = sizes[i][1];
        bool whole = h % 4 == 0 && w % 6 == 0;
        for (int kind = 0; kind < 4; kind++) {
            onnx_model m = model_of(&x);
            bool half = kind == 1;
            if (kind == 3) {
                m.opset = 9;
                model_node(&m, "Upsample", "x,scales", "y");
            } else {
                m.opset = kind == 2 ? 10 : 13;
                if (kind == 2)
                    model_node(&m, "Resize", "x,scales", "y");
                else
                    resize_node(&m, "x,,,sizes", half ? "half_pixel" : "asymmetric",
                                half ? "round_prefer_floor" : "floor");
            }
            model_i64(&m, "sizes", 1, (int64_t[]){4}, (int64_t[]){2, 3, h, w});
            model_f32(&m, "scales", 1, (int64_t[]){4}, (float[]){1, 1, (float)h / 4, (float)w / 6});
            if (half && !whole)
                refuses(m, &x, MS_BAD_MODEL, "supported for whole factors only");
            else {
                if (kind > 1 && !whole && h == 7) /* 11 / 6 is no float: its product with 6 is not 11 */
                    refuses(m, &x, MS_BAD_MODEL, "gives no whole size");
                else if (kind > 1 && h == 1)
                    refuses(m, &x, MS_BAD_MODEL, "gives no whole size");
                else
                    computes(m, &x, resize_reference(&x, h, w));
            }
        }
    }
    static const char *const bad[][3] = {
        {"asymmetric", "ceil", "attribute coordinate_transformation_mode is supported as"},
        {"align_corners", "floor", "attribute coordinate_transformation_mode is supported as"},
        {"tf_crop_and_resize", "floor", "attribute coordinate_transformation_mode is supported as"}};
    for (int i = 0; i < 3; i++) {
        onnx_model m = model_of(&x);
        model_f32(&m, "scales", 1, (int64_t[]){4}, (float[]){1, 1, 2, 2});
        resize_node(&m, "x,,scales", bad[i][0], bad[i][1]);
        refuses(m, &x, MS_BAD_MODEL, bad[i][2]);
    }
    static const struct {
        const char *inputs, *words;
        float scales[4];
        int64_t sizes[4];
    } wrong[] = {{"x", "has neither scales nor sizes", {0}, {0}},
                 {"x,,scales,sizes", "has both scales and sizes", {1, 1, 1, 1}, {2, 3, 4, 6}},
                 {"x,,scales", "only height and width can be resized", {1, 2, 1, 1}, {0}},
                 {"x,,scales", "a scale of 0 for dimension 2", {1, 1, 0, 1}, {0}},
                 {"x,,scales", "a scale of -1 for dimension 3", {1, 1, 1, -1}, {0}},
                 {"x,,scales", "gives no whole size", {1, 1, 1e20f, 1}, {0}},
                 {"x,,,sizes", "a size of 0", {0}, {2, 3, 0, 6}},
                 {"x,,,sizes", "a size of 4294967296", {0}, {2, 3, INT64_C(1) << 32, 6}},
                 {"x,,,x", "input 3 depends on data", {0}, {0}}};
    for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++) {
        onnx_model m = model_of(&x);
        model_f32(&m, "scales", 1, (int64_t[]){4}, wrong[i].scales);
        model_i64(&m, "sizes", 1, (int64_t[]){4}, wrong[i].sizes);
        resize_node(&m, wrong[i].inputs, "asymmetric", "floor");
        refuses(m, &x, MS_BAD_MODEL, wrong[i].words);
    }
    onnx_model m = model_of(&x);
    model_f32(&m, "scales", 1, (int64_t[]){4}, (float[]){1, 1, 2, 2});
    model_node(&m, "Resize", "x,,scales", "y");
    model_text(&m, "mode", "linear");
    refuses(m, &x, MS_BAD_MODEL, "node 0 \"n_y\" (Resize): attribute mode is supported as nearest only");
    free(x.data);
}

static void joining(void **state) {
    (void)state;
    uint64_t rng = 3;
    for (int rank = 2; rank <= 4; rank += 2) {
        const int64_t inner = rank == 4 ? 10 : 1, channels[3] = {3, 1, 18};
        array in[3], want = array_new(rank, (int64_t[]){2, 22, 2, 5});
        onnx_model m = {0};
        for (int i = 0, first = 0; i < 3; i++) {
            in[i] = array_random(&rng, rank, (int64_t[]){2, channels[i], 2, 5});
            for (int64_t e = 0; e < in[i].elements; e++)
                want.data[(e / inner / channels[i] * 22 + first + e / inner % channels[i]) * inner +
                          e % inner] = in[i].data[e];
            first += (int)channels[i];
            model_input(&m, (const char *[]){"a", "b", "c"}[i], rank, in[i].dim);
        }
        model_node(&m, "Concat", "a,b,c", "y");
        model_int(&m, "axis", rank == 4 ? -3 : 1);
        model_output(&m, "y");
        computes(m, in, want);
        for (int axis = 2; axis < 4; axis++) {
            m = (onnx_model){0};
            model_input(&m, "a", rank, in[0].dim);
            model_node(&m, "Concat", "a,a", "y");
            model_int(&m, "axis", axis);
            model_output(&m, "y");
            refuses(m, in, MS_BAD_MODEL, rank == 4 ? "along channels only" : "is outside of 2 dimensions");
        }
        for (int i = 0; i < 3; i++)
            free(in[i].data);
    }
}

/* ---- views ---- */

static array transposed(const array *x, const int64_t *perm) {
    int64_t dim[8], stride[8], step = 1;
    for (int i = x->rank - 1; i >= 0; i--) {
        stride[i] = step;
        step *= x->dim[i];
    }
    for (int i = 0; i < x->rank; i++)
        dim[i] = x->dim[perm[i]];
    array y = array_new(x->rank, dim);
    for (int64_t e = 0; e < y.elements; e++) {
        int64_t left = e, from = 0;
        for (int i = x->rank - 1; i >= 0; i--) {
            from += left % dim[i] * stride[perm[i]];
            left /= dim[i];
        }
        y.data[e] = x->data[from];
    }
    return y;
}

/* One random view of *x, which becomes the result. name: "v3" of value 3. */
static void random_view(uint64_t *rng, onnx_model *m, array *x, int number) {
    char in[16], out[16], shape[16];
    snprintf(in, sizeof(in), "v%d", number);
    snprintf(out, sizeof(out), "v%d", number + 1);
    snprintf(shape, sizeof(shape), "v%d,s%d", number, number);
    int64_t dim[8];
    int rank = 0;
    uint32_t kind = test_rand(rng) % 4;
    if (kind == 0) {
        int64_t perm[8];
        for (int i = 0; i < x->rank; i++) {
            int j = (int)(test_rand(rng) % (uint32_t)(i + 1));
            perm[i] = perm[j];
            perm[j] = i;
        }
        model_node(m, "Transpose", in, out);
        model_ints(m, "perm", x->rank, perm);
        array y = transposed(x, perm);
        free(x->data);
        *x = y;
        return;
    }
    if (kind == 1) {
        int axis = (int)(test_rand(rng) % (uint32_t)(x->rank + 1));
        model_node(m, "Flatten", in, out);
        model_int(m, "axis", axis);
        dim[0] = dim[1] = 1;
        for (int i = 0; i < x->rank; i++)
            dim[i >= axis] *= x->dim[i];
        rank = 2;
    } else if (kind == 2 && x->rank < 6) {
        int axis = (int)(test_rand(rng) % (uint32_t)(x->rank + 1));
        model_i64(m, strchr(shape, ',') + 1, 1, (int64_t[]){1}, (int64_t[]){axis});
        model_node(m, "Unsqueeze", shape, out);
        for (int i = 0; i <= x->rank; i++)
            dim[rank++] = i == axis ? 1 : x->dim[i - (i > axis)];
    } else { /* two neighbours become one, and one is split */
        for (int i = 0; i < x->rank; i++) {
            if (rank && test_rand(rng) % 3 == 0)
                dim[rank - 1] *= x->dim[i];
            else
                dim[rank++] = x->dim[i];
        }
        if (rank < 6 && dim[rank - 1] % 2 == 0) {
            dim[rank - 1] /= 2;
            dim[rank++] = 2;
        }
        dim[0] = -1;
        model_i64(m, strchr(shape, ',') + 1, 1, (int64_t[]){rank}, dim);
        model_node(m, "Reshape", shape, out);
        dim[0] = x->elements;
        for (int i = 1; i < rank; i++)
            dim[0] /= dim[i];
    }
    x->rank = rank;
    memcpy(x->dim, dim, sizeof(dim));
}

/* Chains of views in front of, between and behind something that computes: right, or refused in words. */
static void chains_of_views(void **state) {
    (void)state;
    uint64_t rng = 4;
    int right = 0;
    for (int round = 0; round < 300; round++) {
        static const int64_t shapes[][4] = {{1, 4, 6, 8}, {2, 3, 4, 2}, {1, 16, 2, 3}, {3, 8, 1, 1}};
        array x = array_random(&rng, 4, shapes[round % 4]), want = array_new(4, x.dim);
        memcpy(want.data, x.data, (size_t)x.elements * sizeof(float));
        onnx_model m = {0};
        model_input(&m, "v0", 4, x.dim);
        int n = 0;
        for (int steps = 1 + (int)(test_rand(&rng) % 6); n < steps; n++)
            random_view(&rng, &m, &want, n);
        char last[16];
        snprintf(last, sizeof(last), "v%d", n);
        model_node(&m, "Relu", last, "y");
        model_output(&m, "y");
        for (int64_t i = 0; i < want.elements; i++)
            want.data[i] = fmaxf(want.data[i], 0);
        runner r = runner_open();
        size_t arena = 0;
        assert_ms_ok(runner_load(&r, &m), &r.err);
        ms_status status = runner_prepare(&r, &x, 0, &arena);
        if (status == MS_OK) {
            array got = runner_run(&r, &x, arena);
            compare(&got, &want);
            free(got.data);
            right++;
        } else {
            assert_int_equal(status, MS_BAD_MODEL);
            assert_non_null(strstr(r.err.message, "not supported"));
        }
        runner_close(&r);
        free(x.data);
        free(want.data);
    }
    assert_true(right > 150);
}

static void wrong_views(void **state) {
    (void)state;
    static const struct {
        const char *op, *attribute;
        int64_t values[5];
        int count;
        const char *words;
    } cases[] = {
        {"Reshape", NULL, {5, -1}, 2, "node 0 \"n_y\" (Reshape): 24 elements are no multiple of 5"},
        {"Reshape", NULL, {-1, -1}, 2, "dimension 1 of the new shape is -1"},
        {"Reshape", NULL, {2, 5}, 2, "[1, 2, 3, 4] does not become [2, 5]"},
        {"Reshape", NULL, {-2, 5}, 2, "dimension 0 of the new shape is -2"},
        {"Reshape", NULL, {INT64_MAX, 2, 2}, 3, "more than 2^63-1 elements"},
        {"Reshape", NULL, {INT64_C(1) << 40}, 1, "elements is not supported"},
        {"Unsqueeze", NULL, {0, 0}, 2, "names axis 0 twice"},
        {"Unsqueeze", NULL, {9}, 1, "axis 9 is outside of 5 dimensions"},
        {"Unsqueeze", NULL, {0, 1, 2, 3, 4}, 5, "makes 9 dimensions, more than 8"},
        {"Squeeze", NULL, {1}, 1, "dimension 1 is 2, not 1"},
        {"Transpose", "perm", {0, 1, 2}, 3, "attribute perm has 3 values for 4 dimensions"},
        {"Transpose", "perm", {0, 1, 1, 2}, 4, "attribute perm is no permutation"},
        {"Transpose", "perm", {0, 1, 2, 4}, 4, "attribute perm is no permutation"},
        {"Flatten", "axis", {1, 2}, 2, "attribute axis is of the wrong type"},
    };
    uint64_t rng = 5;
    array x = array_random(&rng, DIMS(1, 2, 3, 4));
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        onnx_model m = {0};
        model_input(&m, "x", 4, x.dim);
        model_i64(&m, "list", 1, (int64_t[]){cases[i].count}, cases[i].values);
        model_node(&m, cases[i].op, cases[i].attribute ? "x" : "x,list", "y");
        if (cases[i].attribute)
            model_ints(&m, cases[i].attribute, cases[i].count, cases[i].values);
        model_output(&m, "y");
        refuses(m, &x, MS_BAD_MODEL, cases[i].words);
    }
    free(x.data);
}

/* ---- constants and shapes ---- */

/* x + the folded constant c, which must be one number. */
static void folds_to(onnx_model m, float c) {
    array x = array_new(DIMS(1, 2, 3, 4)), want = array_new(4, x.dim);
    for (int i = 0; i < 24; i++)
        want.data[i] = c;
    model_input(&m, "x", 4, x.dim);
    model_node(&m, "Add", "x,c", "y");
    model_output(&m, "y");
    computes(m, &x, want);
    free(x.data);
}

static void refuses_fold(onnx_model m, const char *words) {
    array x = array_new(DIMS(1, 2, 3, 4));
    model_input(&m, "x", 4, x.dim);
    model_node(&m, "Add", "x,c", "y");
    model_output(&m, "y");
    refuses(m, &x, MS_BAD_MODEL, words);
    free(x.data);
}

/* A list of integers, picked from after the node that made it, as a float. */
static void pick(onnx_model *m, const char *from, int64_t at) {
    char inputs[64];
    snprintf(inputs, sizeof(inputs), "%s,at", from);
    model_i64(m, "at", 0, NULL, &at);
    model_node(m, "Gather", inputs, "picked");
    model_node(m, "Cast", "picked", "c");
    model_int(m, "to", 1);
}

static void constants_are_folded(void **state) {
    (void)state;
    static const int64_t six[6] = {10, 11, 12, 13, 14, 15};
    static const struct {
        int64_t start, end, step, at, want;
    } slices[] = {{1, 4, 1, 0, 11},  {1, 100, 2, 2, 15},         {-2, INT64_MAX, 1, 1, 15},
                  {5, 0, -2, 1, 13}, {-1, INT64_MIN, -1, 5, 10}, {-100, -3, 1, -1, 12},
                  {3, -4, -1, 0, 13}};
    for (size_t i = 0; i < sizeof(slices) / sizeof(*slices); i++) {
        onnx_model m = {0};
        model_i64(&m, "six", 1, (int64_t[]){6}, six);
        model_i64(&m, "from", 1, (int64_t[]){1}, &slices[i].start);
        model_i64(&m, "to", 1, (int64_t[]){1}, &slices[i].end);
        model_i64(&m, "step", 1, (int64_t[]){1}, &slices[i].step);
        model_i64(&m, "axis", 1, (int64_t[]){1}, (int64_t[]){-1});
        model_node(&m, "Slice", "six,from,to,axis,step", "part");
        pick(&m, "part", slices[i].at);
        folds_to(m, (float)slices[i].want);
    }
    static const struct {
        const char *op;
        int64_t x, y, want;
    } sums[] = {{"Add", 5, -7, -2}, {"Sub", 5, -7, 12}, {"Mul", 5, -7, -35}, {"Div", -7, 2, -3}};
    for (size_t i = 0; i < sizeof(sums) / sizeof(*sums); i++) {
        onnx_model m = {0};
        model_i64(&m, "a", 1, (int64_t[]){2}, (int64_t[]){99, sums[i].x});
        model_i64(&m, "b", 2, (int64_t[]){1, 1}, &sums[i].y); /* broadcast */
        model_node(&m, sums[i].op, "a,b", "s");
        model_node(&m, "Squeeze", "s", "q");
        pick(&m, "q", -1);
        folds_to(m, (float)sums[i].want);
    }
    onnx_model m = {0}; /* floats: (2.5 * 3) floor, ceil of 7.25 / 2, concat, transpose, size */
    model_node(&m, "Constant", "", "a");
    model_float(&m, "value_float", 2.5f);
    model_node(&m, "Constant", "", "b");
    model_floats(&m, "value_floats", 2, (float[]){3, 2.9f});
    model_node(&m, "Mul", "a,b", "ab");   /* 7.5, 7.25 */
    model_node(&m, "Floor", "ab", "f");   /* 7, 7 */
    model_node(&m, "Div", "ab,a", "d");   /* 3, 2.9 */
    model_node(&m, "Ceil", "d", "e");     /* 3, 3 */
    model_node(&m, "Concat", "f,e", "g"); /* 7, 7, 3, 3 */
    model_int(&m, "axis", 0);
    model_i64(&m, "two_two", 1, (int64_t[]){2}, (int64_t[]){2, 2});
    model_node(&m, "Reshape", "g,two_two", "h");
    model_node(&m, "Transpose", "h", "t"); /* 7, 3; 7, 3 */
    model_node(&m, "Flatten", "t", "u");
    model_node(&m, "Reshape", "u,rest", "v"); /* 7, 3, 7, 3 */
    model_i64(&m, "rest", 1, (int64_t[]){1}, (int64_t[]){-1});
    model_i64(&m, "one", 0, NULL, (int64_t[]){1});
    model_node(&m, "Gather", "v,one", "c");
    folds_to(m, 3);
    m = (onnx_model){0};
    model_node(&m, "Constant", "", "n");
    model_ints(&m, "value_ints", 2, (int64_t[]){2, 3});
    byte_string t = tensor_i64(NULL, 1, (int64_t[]){1}, (int64_t[]){9});
    model_node(&m, "ConstantOfShape", "n", "k");
    model_tensor(&m, "value", &t);
    model_node(&m, "Size", "k", "size"); /* 6 */
    model_node(&m, "Constant", "", "plus");
    model_int(&m, "value_int", 1);
    model_node(&m, "Add", "size,plus", "s");
    model_node(&m, "Dropout", "s", "dropped");
    model_node(&m, "Cast", "dropped", "c");
    model_int(&m, "to", 1);
    folds_to(m, 7);
}

static void constants_that_make_no_sense(void **state) {
    (void)state;
    static const struct {
        const char *op;
        int64_t x, y;
    } overflows[] = {{"Add", INT64_MAX, 1},
                     {"Sub", INT64_MIN, 1},
                     {"Mul", INT64_MAX, 2},
                     {"Div", INT64_MIN, -1},
                     {"Div", 1, 0}};
    for (size_t i = 0; i < sizeof(overflows) / sizeof(*overflows); i++) {
        onnx_model m = {0};
        model_i64(&m, "a", 0, NULL, &overflows[i].x);
        model_i64(&m, "b", 0, NULL, &overflows[i].y);
        model_node(&m, overflows[i].op, "a,b", "c");
        refuses_fold(m, "element 0 of the result overflows");
    }
    onnx_model m = {0};
    model_f32(&m, "a", 1, (int64_t[]){3}, (float[]){1, 2, 3});
    model_f32(&m, "b", 1, (int64_t[]){2}, (float[]){1, 2});
    model_node(&m, "Add", "a,b", "c");
    refuses_fold(m, "node 0 \"n_c\" (Add): its inputs do not fit each other");
    m = (onnx_model){0};
    model_f32(&m, "a", 1, (int64_t[]){3}, (float[]){1, 2, 3});
    model_i64(&m, "b", 1, (int64_t[]){1}, (int64_t[]){3});
    model_node(&m, "Gather", "a,b", "c");
    refuses_fold(m, "index 3 is outside of 3");
    m = (onnx_model){0}; /* huge */
    model_i64(&m, "a", 1, (int64_t[]){3}, (int64_t[]){1 << 20, 1 << 20, 1 << 20});
    model_node(&m, "ConstantOfShape", "a", "c");
    refuses_fold(m, "a tensor of [1048576, 1048576, 1048576] elements is not supported");
    m = (onnx_model){0};
    model_i64(&m, "a", 1, (int64_t[]){2}, (int64_t[]){1 << 16, 1 << 16});
    model_node(&m, "ConstantOfShape", "a", "c");
    refuses_fold(m, "its constants need more than");
    m = (onnx_model){0};
    model_f32(&m, "a", 1, (int64_t[]){1}, (float[]){1e30f});
    model_node(&m, "Cast", "a", "c");
    model_int(&m, "to", 7);
    refuses_fold(m, "element 0 does not fit the type");
    m = (onnx_model){0};
    model_f32(&m, "a", 1, (int64_t[]){1}, (float[]){1});
    model_node(&m, "Cast", "a", "c");
    model_int(&m, "to", 8);
    refuses_fold(m, "attribute to asks for type 8");
    m = (onnx_model){0};
    model_node(&m, "Constant", "", "c");
    refuses_fold(m, "has 0 values, not one");
    m = (onnx_model){0};
    model_node(&m, "Constant", "", "c");
    model_float(&m, "value_float", NAN);
    refuses_fold(m, "element 0 is not finite");
    m = (onnx_model){0};
    model_i64(&m, "a", 1, (int64_t[]){3}, (int64_t[]){1, 2, 3});
    model_i64(&m, "zero", 1, (int64_t[]){1}, (int64_t[]){0});
    model_node(&m, "Slice", "a,zero,zero,zero,zero", "c");
    refuses_fold(m, "step 0 along axis 0");
}

/* What exporters write for x.view(x.shape[0], -1): its result follows the input's size. */
static onnx_model dynamic_model(void) {
    onnx_model m = {0};
    uint64_t rng = 7;
    array w = array_random(&rng, DIMS(5, 3, 3, 3));
    model_input(&m, "x", 4, (int64_t[]){OPEN, 3, OPEN, OPEN});
    model_array(&m, "w", &w);
    model_node(&m, "Conv", "x,w", "v");
    model_ints(&m, "pads", 4, (int64_t[]){1, 1, 1, 1});
    model_node(&m, "Relu", "v", "r");
    model_i64(&m, "zero", 0, NULL, (int64_t[]){0});
    model_i64(&m, "axis", 1, (int64_t[]){1}, (int64_t[]){0});
    model_i64(&m, "rest", 1, (int64_t[]){1}, (int64_t[]){-1});
    model_i64(&m, "five", 1, (int64_t[]){1}, (int64_t[]){5});
    model_node(&m, "Shape", "x", "s");
    model_node(&m, "Gather", "s,zero", "n");
    model_node(&m, "Unsqueeze", "n,axis", "u");
    model_node(&m, "Concat", "u,rest,five", "to");
    model_int(&m, "axis", 0);
    model_node(&m, "Transpose", "r", "t");
    model_ints(&m, "perm", 4, (int64_t[]){0, 2, 3, 1});
    model_node(&m, "Reshape", "t,to", "y");
    model_output(&m, "y");
    free(w.data);
    return m;
}

static void other_sizes_and_slices(void **state) {
    (void)state;
    static const int64_t sizes[][3] = {{1, 4, 4}, {3, 8, 5}, {1, 4, 4}, {2, 1, 1}, {5, 16, 3}};
    uint64_t rng = 8;
    runner r = runner_open();
    onnx_model m = dynamic_model();
    assert_ms_ok(runner_load(&r, &m), &r.err);
    assert_int_equal(ms_onnx_net_output(r.net, 0)->rank, -1);
    assert_null(ms_onnx_net_graph(r.net));
    const float *none[1] = {0};
    assert_int_equal(ms_onnx_net_run(r.net, NULL, none, NULL, &r.err), MS_INVALID_ARGUMENT);
    for (int i = 0; i < 5; i++) {
        array x = array_random(&rng, DIMS(sizes[i][0], 3, sizes[i][1], sizes[i][2])), got[2];
        for (int slices = 0; slices < 2; slices++) { /* all images at once, then one at a time */
            size_t arena = 0;
            assert_ms_ok(runner_prepare(&r, &x, slices, &arena), &r.err);
            got[slices] = runner_run(&r, &x, arena);
        }
        assert_int_equal(got[0].rank, 3);
        assert_int_equal(got[0].dim[0], sizes[i][0]);
        assert_int_equal(got[0].dim[1], sizes[i][1] * sizes[i][2]);
        assert_int_equal(got[0].dim[2], 5);
        assert_memory_equal(got[0].data, got[1].data, (size_t)got[0].elements * sizeof(float));
        runner fresh = runner_open(); /* the same as a network that has seen nothing else */
        size_t arena = 0;
        m = dynamic_model();
        assert_ms_ok(runner_load(&fresh, &m), &fresh.err);
        assert_ms_ok(runner_prepare(&fresh, &x, 0, &arena), &fresh.err);
        array alone = runner_run(&fresh, &x, arena);
        assert_memory_equal(got[0].data, alone.data, (size_t)alone.elements * sizeof(float));
        runner_close(&fresh);
        free(alone.data);
        free(got[0].data);
        free(got[1].data);
        free(x.data);
    }
    array x = array_random(&rng, DIMS(1, 4, 4, 4)); /* a wrong size leaves the network as it was */
    size_t arena = 0;
    assert_int_equal(runner_prepare(&r, &x, 0, &arena), MS_INVALID_ARGUMENT);
    assert_non_null(strstr(r.err.message, "dimension 1 of input \"x\" is 3 in the file and cannot be 4"));
    x.rank = 3;
    assert_int_equal(runner_prepare(&r, &x, 0, &arena), MS_INVALID_ARGUMENT);
    assert_non_null(strstr(r.err.message, "has 4 dimensions, not 3"));
    assert_int_equal(ms_onnx_net_output(r.net, 0)->shape[1], 16 * 3);
    free(x.data);
    runner_close(&r);
}

/* ---- whole networks ---- */

static void networks_that_are_refused(void **state) {
    (void)state;
    uint64_t rng = 9;
    array x = array_random(&rng, DIMS(1, 3, 4, 4)), w = array_random(&rng, DIMS(2, 2, 3, 3));
    onnx_model m = model_of(&x);
    model_node(&m, "Softmax", "x", "y");
    refuses(m, &x, MS_BAD_MODEL, "node 0 \"n_y\": operator Softmax is not supported");
    m = model_of(&x);
    model_node(&m, "Relu", "x,x", "y");
    refuses(m, &x, MS_BAD_MODEL, "node 0 \"n_y\" (Relu): has 2 inputs");
    m = model_of(&x);
    model_node(&m, "Add", ",x", "y");
    refuses(m, &x, MS_BAD_MODEL, "node 0 \"n_y\" (Add): input 0 is left out");
    m = model_of(&x);
    model_node(&m, "Relu", "x", "y");
    model_int(&m, "inplace", 1);
    refuses(m, &x, MS_BAD_MODEL, "node 0 \"n_y\" (Relu): attribute inplace is not supported");
    m = model_of(&x);
    model_array(&m, "w", &w);
    model_node(&m, "Conv", "x,w", "y");
    refuses(m, &x, MS_BAD_MODEL, "3 channels in 1 groups do not fit weights of 2x2");
    m = model_of(&x);
    model_node(&m, "Conv", "x,x", "y");
    refuses(m, &x, MS_BAD_MODEL, "weights that are no constant floating numbers");
    m = model_of(&x);
    model_array(&m, "w", &w);
    model_node(&m, "Identity", "w", "y");
    refuses(m, &x, MS_BAD_MODEL, "output \"y\" does not depend on the inputs");
    m = model_of(&x);
    model_node(&m, "Floor", "x", "y");
    refuses(m, &x, MS_BAD_MODEL, "node 0 \"n_y\" (Floor): is supported for constants and shapes only");
    m = model_of(&x);
    model_array(&m, "w", &w);
    model_node(&m, "Relu", "w", "v");
    model_node(&m, "Add", "x,v", "y");
    refuses(m, &x, MS_BAD_MODEL, "node 0 \"n_v\" (Relu): is supported for data that depends on the inputs");
    m = model_of(&x); /* a dead node may be what it likes, as long as its operator is known */
    model_node(&m, "Floor", "x", "dead");
    model_node(&m, "Identity", "x", "y");
    array want = array_random(&rng, 4, x.dim);
    memcpy(want.data, x.data, (size_t)x.elements * sizeof(float));
    computes(m, &x, want);
    m = (onnx_model){0};
    model_input(&m, "x", 0, NULL);
    model_node(&m, "Relu", "x", "y");
    model_output(&m, "y");
    refuses(m, &x, MS_BAD_MODEL, "input \"x\" is no float32 tensor with dimensions");
    free(x.data);
    free(w.data);
}

/* Each allocation in turn: opening, preparing, running. */
static void every_allocation_may_fail(void **state) {
    (void)state;
    uint64_t rng = 10;
    array x = array_random(&rng, DIMS(2, 3, 4, 4));
    bool done = false;
    uint64_t n = 0;
    while (!done) {
        runner r = runner_open();
        onnx_model m = dynamic_model();
        size_t arena = 0;
        ms_mem_fail_after(++n, false);
        ms_status status = runner_load(&r, &m);
        if (status == MS_OK)
            status = runner_prepare(&r, &x, 1, &arena);
        ms_mem_fail_after(0, false);
        if (status != MS_OK && status != MS_HOST_MEMORY)
            fail_msg("allocation %d: %s: %s", (int)n, ms_status_name(status), r.err.message);
        if (status == MS_HOST_MEMORY && r.net) { /* what failed once works the next time */
            assert_ms_ok(runner_prepare(&r, &x, 1, &arena), &r.err);
            array got = runner_run(&r, &x, arena);
            free(got.data);
        }
        done = status == MS_OK;
        runner_close(&r);
    }
    assert_true(n > 20);
    free(x.data);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pools),
        cmocka_unit_test(resizing),
        cmocka_unit_test(joining),
        cmocka_unit_test(chains_of_views),
        cmocka_unit_test(wrong_views),
        cmocka_unit_test(constants_are_folded),
        cmocka_unit_test(constants_that_make_no_sense),
        cmocka_unit_test(other_sizes_and_slices),
        cmocka_unit_test(networks_that_are_refused),
        cmocka_unit_test(every_allocation_may_fail),
    };
    return MS_HAVE_ONNX ? cmocka_run_group_tests(tests, NULL, NULL) : 0;
}
