/* Networks from ONNX files (models/onnx/onnx_net.h): what each operator computes,
   against plain loops in double; and what is refused, with the node's name. */
#include "support/models/onnx_run.h"
#include "memsafe_have.h"

/* ---- references ---- */

static array conv_reference(const array *x, const array *w, const array *bias, const window *k) {
    array y = array_new(DIMS(x->dim[0], w->dim[0], out_size(x, k, 0, false), out_size(x, k, 1, false)));
    int64_t per_group = w->dim[0] / k->groups;
    for (int64_t i = 0; i < y.elements; i++) {
        int64_t ow = i % y.dim[3], oh = i / y.dim[3] % y.dim[2], o = i / y.dim[3] / y.dim[2] % y.dim[1];
        int64_t n = i / y.dim[3] / y.dim[2] / y.dim[1];
        double sum = bias ? (double)bias->data[o] : 0;
        for (int64_t j = 0; j < w->elements / w->dim[0]; j++) {
            int64_t kw = j % w->dim[3], kh = j / w->dim[3] % w->dim[2], c = j / w->dim[3] / w->dim[2];
            int64_t h = oh * k->stride[0] + kh - k->pad[0], v = ow * k->stride[1] + kw - k->pad[1];
            if (h >= 0 && h < x->dim[2] && v >= 0 && v < x->dim[3])
                sum +=
                    (double)*at4(w, o, c, kh, kw) * (double)*at4(x, n, o / per_group * w->dim[1] + c, h, v);
        }
        y.data[i] = (float)sum;
    }
    return y;
}

/* y[i] = f of x[i] and what `table` holds for its channel. */
static array channels_reference(const array *x, double (*f)(double, double), const array *table) {
    array y = array_new(x->rank, x->dim);
    int64_t inner = 1;
    for (int i = 2; i < x->rank; i++)
        inner *= x->dim[i];
    for (int64_t i = 0; i < y.elements; i++)
        y.data[i] = (float)f((double)x->data[i],
                             (double)table->data[table->elements == 1 ? 0 : i / inner % x->dim[1]]);
    return y;
}

static double add(double a, double b) {
    return a + b;
}
static double subtract(double a, double b) {
    return a - b;
}
static double subtract_from(double a, double b) {
    return b - a;
}
static double multiply(double a, double b) {
    return a * b;
}
static double divide(double a, double b) {
    return a / b;
}
static double prelu(double x, double slope) {
    return x < 0 ? slope * x : x;
}
static double relu(double x, double ignored) {
    (void)ignored;
    return x < 0 ? 0 : x;
}
static double sigmoid(double x, double ignored) {
    (void)ignored;
    return 1 / (1 + exp(-x));
}

/* ---- convolutions ---- */

static void conv_node(onnx_model *m, const char *inputs, const char *output, const window *k) {
    model_node(m, "Conv", inputs, output);
    model_ints(m, "kernel_shape", 2, k->kernel);
    model_ints(m, "strides", 2, k->stride);
    model_ints(m, "pads", 4, k->pad);
    model_int(m, "group", k->groups);
}

static void convolutions(void **state) {
    (void)state;
    uint64_t rng = 1;
    for (int round = 0; round < 60; round++) {
        window k = random_window(&rng, 4);
        k.groups = 1 + test_rand(&rng) % 3;
        int64_t in = 1 + test_rand(&rng) % 5, out = 1 + test_rand(&rng) % 20;
        if (round % 4 == 0) /* one channel a group */
            k.groups = 4 + test_rand(&rng) % 20, in = 1, out = 1;
        array x = array_random(&rng, DIMS(1 + test_rand(&rng) % 3, in * k.groups, 4 + test_rand(&rng) % 9,
                                          4 + test_rand(&rng) % 9));
        array w = array_random(&rng, DIMS(out * k.groups, in, k.kernel[0], k.kernel[1]));
        array bias = array_random(&rng, DIMS(w.dim[0]));
        bool biased = round % 2;
        onnx_model m = model_of(&x);
        model_array(&m, "w", &w);
        model_array(&m, "b", &bias);
        conv_node(&m, biased ? "x,w,b" : "x,w", "y", &k);
        computes(m, &x, conv_reference(&x, &w, biased ? &bias : NULL, &k));
        free(x.data);
        free(w.data);
        free(bias.data);
    }
}

static void convolution_attributes(void **state) {
    (void)state;
    uint64_t rng = 2;
    window k = {{3, 2}, {1, 1}, {0}, 1};
    array x = array_random(&rng, DIMS(1, 2, 5, 6)), w = array_random(&rng, DIMS(3, 2, 3, 2));
    static const char *const auto_pads[] = {"VALID", "NOTSET", "SAME_UPPER", "SAME_LOWER"};
    for (int i = 0; i < 4; i++) {
        onnx_model m = model_of(&x);
        model_array(&m, "w", &w);
        model_node(&m, "Conv", "x,w", "y"); /* everything else has a default */
        model_text(&m, "auto_pad", auto_pads[i]);
        if (i < 2)
            computes(m, &x, conv_reference(&x, &w, NULL, &k));
        else
            refuses(m, &x, MS_BAD_MODEL,
                    "node 0 \"n_y\" (Conv): attribute auto_pad is supported as NOTSET and VALID only");
    }
    static const struct {
        const char *name;
        int count;
        int64_t values[4];
        const char *words;
    } bad[] = {{"dilations", 2, {2, 2}, "attribute dilations holds 2"},
               {"kernel_shape", 2, {3, 3}, "kernel_shape is not that of the weights"},
               {"kernel_shape", 1, {3}, "kernel_shape has 1 values, not 2"},
               {"pads", 4, {0, 2, 0, 0}, "a padding that is not smaller than the kernel"},
               {"pads", 4, {-1, 0, 0, 0}, "attribute pads holds -1"},
               {"pads", 2, {1, 1}, "attribute pads has 2 values"},
               {"strides", 2, {0, 1}, "attribute strides holds 0"},
               {"group", 1, {1}, "attribute group is of the wrong type"},
               {"output_padding", 2, {0, 0}, "attribute output_padding is not supported"}};
    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
        onnx_model m = model_of(&x);
        model_array(&m, "w", &w);
        model_node(&m, "Conv", "x,w", "y");
        model_ints(&m, bad[i].name, bad[i].count, bad[i].values);
        refuses(m, &x, MS_BAD_MODEL, bad[i].words);
    }
    free(x.data);
    free(w.data);
}

/* What follows a product is computed with it: normalisation, a factor, an activation, a sum. */
static void tails_of_convolutions(void **state) {
    (void)state;
    uint64_t rng = 3;
    window k = {{3, 3}, {1, 1}, {1, 1, 1, 1}, 1};
    array x = array_random(&rng, DIMS(2, 4, 6, 7)), w = array_random(&rng, DIMS(4, 4, 3, 3));
    array t[4];
    for (int i = 0; i < 4; i++) {
        t[i] = array_random(&rng, DIMS(4));
        for (int j = 0; j < 4; j++)
            t[i].data[j] += i == 3 ? 1.5f : 0; /* variances are positive */
    }
    array slope = array_random(&rng, DIMS(4, 1, 1)), factor = array_random(&rng, DIMS(1));
    for (int kind = 0; kind < 8; kind++) { /* with an activation; with a sum; the product read twice */
        onnx_model m = model_of(&x);
        array want = conv_reference(&x, &w, NULL, &k);
        model_array(&m, "w", &w);
        for (int i = 0; i < 4; i++)
            model_array(&m, (const char *[]){"t0", "t1", "t2", "t3"}[i], &t[i]);
        model_array(&m, "slope", &slope);
        model_array(&m, "factor", &factor);
        conv_node(&m, "x,w", "c", &k);
        model_node(&m, "BatchNormalization", "c,t0,t1,t2,t3", "n");
        model_float(&m, "epsilon", 0.01f);
        model_node(&m, "Mul", "factor,n", "f");
        model_node(&m, kind & 1 ? "PRelu" : "Identity", kind & 1 ? "f,slope" : "f", "a");
        model_node(&m, kind & 2 ? "Add" : "Relu", kind & 2 ? "x,a" : "a", "s");
        model_node(&m, kind & 4 ? "Sub" : "Identity", kind & 4 ? "s,c" : "s", "y");
        for (int64_t i = 0; i < want.elements; i++) {
            int c = (int)(i / 42 % 4);
            double product = (double)want.data[i], v = product;
            v = ((v - (double)t[2].data[c]) / sqrt((double)t[3].data[c] + (double)0.01f) *
                     (double)t[0].data[c] +
                 (double)t[1].data[c]) *
                (double)factor.data[0];
            v = kind & 1 ? prelu(v, (double)slope.data[c]) : v;
            v = kind & 2 ? v + (double)x.data[i] : relu(v, 0);
            want.data[i] = (float)(kind & 4 ? v - product : v);
        }
        computes(m, &x, want);
    }
    for (int i = 0; i < 4; i++)
        free(t[i].data);
    free(x.data);
    free(w.data);
    free(slope.data);
    free(factor.data);
}

/* ---- matrices ---- */

static void matrix_products(void **state) {
    (void)state;
    uint64_t rng = 4;
    for (int round = 0; round < 40; round++) {
        int64_t rows = 1 + test_rand(&rng) % 5, k = 1 + test_rand(&rng) % 40, n = 1 + test_rand(&rng) % 40;
        bool gemm = round % 4 > 0, turned = round % 4 > 1;
        array x = array_random(&rng, DIMS(rows, k));
        array w = turned ? array_random(&rng, DIMS(n, k)) : array_random(&rng, DIMS(k, n));
        array bias = round % 3 == 0   ? array_random(&rng, DIMS(n))
                     : round % 3 == 1 ? array_random(&rng, DIMS(1, n))
                                      : array_random(&rng, 0, NULL);
        array y = array_new(DIMS(rows, n));
        onnx_model m = model_of(&x);
        model_array(&m, "w", &w);
        model_array(&m, "b", &bias);
        model_node(&m, gemm ? "Gemm" : "MatMul", gemm ? "x,w,b" : "x,w", "y");
        if (gemm) {
            model_int(&m, "transB", turned);
            model_float(&m, "alpha", 0.75f);
            model_float(&m, "beta", -2);
        }
        for (int64_t i = 0; i < y.elements; i++) {
            double sum = 0;
            for (int64_t j = 0; j < k; j++)
                sum += (double)x.data[i / n * k + j] * (double)w.data[turned ? i % n * k + j : j * n + i % n];
            y.data[i] =
                (float)(gemm ? 0.75 * sum - 2 * (double)bias.data[bias.elements == 1 ? 0 : i % n] : sum);
        }
        computes(m, &x, y);
        free(x.data);
        free(w.data);
        free(bias.data);
    }
}

/* ---- one element at a time ---- */

static void constants_and_activations(void **state) {
    (void)state;
    static const struct {
        const char *op, *inputs;
        double (*f)(double, double);
    } cases[] = {{"Add", "x,t", add},           {"Add", "t,x", add},      {"Sub", "x,t", subtract},
                 {"Sub", "t,x", subtract_from}, {"Mul", "x,t", multiply}, {"Mul", "t,x", multiply},
                 {"Div", "x,t", divide},        {"PRelu", "x,t", prelu},  {"Relu", "x", relu},
                 {"Sigmoid", "x", sigmoid}};
    static const int64_t shapes[][4] = {{3}, {1}, {3, 5, 2}, {3, 1, 1}, {1, 3, 1, 1}, {1, 1}};
    static const int ranks[] = {1, 1, 0, 3, 4, 2};
    uint64_t rng = 5;
    array x = array_random(&rng, DIMS(2, 3, 5, 4));
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        for (int j = 0; j < 6; j++) {
            array t = array_random(&rng, ranks[j], shapes[j]);
            onnx_model m = model_of(&x);
            for (int64_t e = 0; e < t.elements; e++)
                t.data[e] += t.data[e] < 0 ? -0.5f : 0.5f; /* so that it can be divided by */
            model_array(&m, "t", &t);
            model_node(&m, cases[i].op, cases[i].inputs, "y");
            if (ranks[j] == 1 && t.elements == 3 && cases[i].inputs[1]) /* along the last axis, which has 4 */
                refuses(m, &x, MS_BAD_MODEL, "a constant of shape [3] for data of shape [2, 3, 5, 4]");
            else
                computes(m, &x, channels_reference(&x, cases[i].f, &t));
            free(t.data);
        }
    }
    onnx_model m = model_of(&x);
    array t = array_random(&rng, DIMS(1));
    model_array(&m, "t", &t);
    model_node(&m, "Div", "t,x", "y");
    refuses(m, &x, MS_BAD_MODEL, "node 0 \"n_y\" (Div): a constant divided by data is not supported");
    m = model_of(&x);
    t.data[0] = 0;
    model_array(&m, "t", &t);
    model_node(&m, "Div", "x,t", "y");
    refuses(m, &x, MS_BAD_MODEL, "divides by 0");
    m = model_of(&x);
    t.data[0] = 0.2f;
    model_node(&m, "LeakyRelu", "x", "y");
    model_float(&m, "alpha", 0.2f);
    computes(m, &x, channels_reference(&x, prelu, &t));
    free(t.data);
    free(x.data);
}

static void two_tensors(void **state) {
    (void)state;
    static const struct {
        const char *op;
        double (*f)(double, double);
    } cases[] = {{"Add", add}, {"Sub", subtract}, {"Mul", multiply}, {"Div", divide}};
    uint64_t rng = 6;
    for (int i = 0; i < 8; i++) {
        int rank = i < 4 ? 4 : 2;
        array in[2] = {array_random(&rng, rank, (int64_t[]){2, 3, 4, 5}),
                       array_random(&rng, rank, (int64_t[]){2, 3, 4, 5})};
        array want = array_new(rank, in[0].dim);
        onnx_model m = {0};
        for (int64_t e = 0; e < want.elements; e++) {
            in[1].data[e] += in[1].data[e] < 0 ? -1 : 1;
            want.data[e] = (float)cases[i % 4].f((double)in[0].data[e], (double)in[1].data[e]);
        }
        model_input(&m, "a", rank, in[0].dim);
        model_input(&m, "b", rank, in[1].dim);
        model_node(&m, cases[i % 4].op, "a,b", "y");
        model_output(&m, "y");
        computes(m, in, want);
        free(in[0].data);
        free(in[1].data);
    }
    array in[2] = {array_random(&rng, DIMS(1, 3, 4, 5)), array_random(&rng, DIMS(1, 3, 4, 1))};
    for (int i = 0; i < 2; i++) { /* broadcasting between data, and two batches */
        onnx_model m = {0};
        in[1].dim[0] = 1 + i;
        model_input(&m, "a", 4, in[0].dim);
        model_input(&m, "b", 4, in[1].dim);
        model_node(&m, "Add", "a,b", "y");
        model_output(&m, "y");
        if (i)
            refuses(m, in, MS_INVALID_ARGUMENT, "inputs for 1 and 2 images");
        else
            refuses(m, in, MS_BAD_MODEL, "data of shapes [1, 3, 4, 5] and [1, 3, 4, 1] is not supported");
    }
    free(in[0].data);
    free(in[1].data);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(convolutions),
        cmocka_unit_test(convolution_attributes),
        cmocka_unit_test(tails_of_convolutions),
        cmocka_unit_test(matrix_products),
        cmocka_unit_test(constants_and_activations),
        cmocka_unit_test(two_tensors),
    };
    return MS_HAVE_ONNX ? cmocka_run_group_tests(tests, NULL, NULL) : 0;
}
