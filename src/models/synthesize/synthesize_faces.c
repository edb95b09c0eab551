#include "models/synthesize/synthesize_faces.h"

#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "formats/onnx/onnx_writer.h"
#include "models/onnx/landmark106.h"
#include "models/onnx/scrfd.h"

#define NAME_BYTES 32
#define COUNT(array) ((int)(sizeof(array) / sizeof((array)[0])))

typedef struct net {
    ms_onnx_writer w;
    uint64_t seed;
    uint32_t tensors;
    int values; /* named so far */
    bool failed;
} net;

typedef struct value {
    char name[NAME_BYTES];
    int64_t channels;
} value;

static value new_value(net *n, int64_t channels) {
    value v = {.channels = channels};
    snprintf(v.name, sizeof(v.name), "%d", n->values++);
    return v;
}

/* Makes the tensor "NAME.KIND" and appends its name to a node's inputs. bias NULL = random. */
static void parameter(net *n, char inputs[4 * NAME_BYTES], const char *name, const char *kind, int rank,
                      const int64_t *dims, const float *values) {
    char full[2 * NAME_BYTES];
    int64_t count = 1;
    for (int i = 0; i < rank; i++)
        count *= dims[i];
    snprintf(full, sizeof(full), "%s.%s", name, kind);
    snprintf(inputs + strlen(inputs), 4 * NAME_BYTES - strlen(inputs), ",%s", full);
    float *random = values ? NULL : ms_alloc_array(NULL, MS_LEDGER_STAGING, (size_t)count, sizeof(float));
    if (random)
        ms_synthetic_fill(full, rank, dims, n->seed, n->tensors, 0, count, random);
    n->tensors++;
    n->failed |= !values && !random;
    if (values || random)
        ms_onnx_put_f32(&n->w, full, rank, dims, values ? values : random);
    ms_mem_free(random);
}

typedef struct conv_shape {
    int64_t out, kernel, stride;
    bool depthwise;
    const float *weights, *bias; /* NULL = random */
} conv_shape;

static value conv(net *n, const value *x, const conv_shape *c) {
    value y = new_value(n, c->out);
    char inputs[4 * NAME_BYTES];
    int64_t pad = c->kernel / 2;
    const int64_t kernel[2] = {c->kernel, c->kernel}, stride[2] = {c->stride, c->stride}, ones[2] = {1, 1};
    const int64_t pads[4] = {pad, pad, pad, pad};
    snprintf(inputs, sizeof(inputs), "%s", x->name);
    parameter(n, inputs, y.name, "weight", 4,
              (int64_t[]){c->out, c->depthwise ? 1 : x->channels, c->kernel, c->kernel}, c->weights);
    parameter(n, inputs, y.name, "bias", 1, &c->out, c->bias);
    ms_onnx_put_node(&n->w, "Conv", inputs, y.name);
    ms_onnx_put_ints(&n->w, "dilations", 2, ones);
    ms_onnx_put_int(&n->w, "group", c->depthwise ? c->out : 1);
    ms_onnx_put_ints(&n->w, "kernel_shape", 2, kernel);
    ms_onnx_put_ints(&n->w, "pads", 4, pads);
    ms_onnx_put_ints(&n->w, "strides", 2, stride);
    return y;
}

static value conv3(net *n, const value *x, int64_t out, int64_t stride) {
    return conv(n, x, &(conv_shape){.out = out, .kernel = 3, .stride = stride});
}

static value point(net *n, const char *op, const value *x) {
    value y = new_value(n, x->channels);
    ms_onnx_put_node(&n->w, op, x->name, y.name);
    return y;
}

static value add(net *n, const value *a, const value *b) {
    value y = new_value(n, a->channels);
    char inputs[2 * NAME_BYTES + 1];
    snprintf(inputs, sizeof(inputs), "%s,%s", a->name, b->name);
    ms_onnx_put_node(&n->w, "Add", inputs, y.name);
    return y;
}

static value pool(net *n, const value *x, const char *op, int64_t kernel, int64_t pad) {
    value y = new_value(n, x->channels);
    const int64_t sides[2] = {kernel, kernel}, strides[2] = {2, 2}, pads[4] = {pad, pad, pad, pad};
    ms_onnx_put_node(&n->w, op, x->name, y.name);
    ms_onnx_put_ints(&n->w, "kernel_shape", 2, sides);
    ms_onnx_put_ints(&n->w, "pads", 4, pads);
    ms_onnx_put_ints(&n->w, "strides", 2, strides);
    return y;
}

/* ---- the detector ---- */

typedef struct detector_shape {
    int64_t stem[3], stages[4], neck, head;
    int blocks[4], head_layers;
} detector_shape;

static const detector_shape full_detector = {{28, 28, 56}, {56, 88, 88, 224}, 56, 80, {3, 4, 2, 3}, 3};
static const detector_shape small_detector = {{8, 8, 8}, {8, 12, 12, 16}, 8, 8, {1, 1, 1, 1}, 1};

static value conv_relu(net *n, const value *x, int64_t out, int64_t stride) {
    value y = conv3(n, x, out, stride);
    return point(n, "Relu", &y);
}

static value residual(net *n, const value *x, int64_t out, int64_t stride) {
    value y = conv_relu(n, x, out, stride), rest = *x;
    y = conv3(n, &y, out, 1);
    if (stride == 2)
        rest = pool(n, &rest, "AveragePool", 2, 0);
    if (stride == 2 || x->channels != out)
        rest = conv(n, &rest, &(conv_shape){.out = out, .kernel = 1, .stride = 1});
    y = add(n, &y, &rest);
    return point(n, "Relu", &y);
}

/* The three finest levels but one: strides 8, 16, 32. */
static void backbone(net *n, const detector_shape *s, value levels[MS_SCRFD_STRIDES]) {
    value x = {"input.1", 3};
    for (int i = 0; i < COUNT(s->stem); i++)
        x = conv_relu(n, &x, s->stem[i], i == 0 ? 2 : 1);
    x = pool(n, &x, "MaxPool", 3, 1);
    for (int stage = 0; stage < COUNT(s->stages); stage++) {
        for (int block = 0; block < s->blocks[stage]; block++)
            x = residual(n, &x, s->stages[stage], stage && block == 0 ? 2 : 1);
        if (stage)
            levels[stage - 1] = x;
    }
}

static value twice_as_large(net *n, const value *x) {
    static const float scales[4] = {1, 1, 2, 2};
    value y = new_value(n, x->channels);
    char inputs[4 * NAME_BYTES];
    snprintf(inputs, sizeof(inputs), "%s", x->name);
    parameter(n, inputs, y.name, "roi", 1, (int64_t[]){0}, scales);
    parameter(n, inputs, y.name, "scales", 1, (int64_t[]){4}, scales);
    ms_onnx_put_node(&n->w, "Resize", inputs, y.name);
    ms_onnx_put_text(&n->w, "coordinate_transformation_mode", "asymmetric");
    ms_onnx_put_text(&n->w, "mode", "nearest");
    ms_onnx_put_text(&n->w, "nearest_mode", "floor");
    return y;
}

/* From coarse to fine and back. */
static void pyramid(net *n, const detector_shape *s, value levels[MS_SCRFD_STRIDES]) {
    for (int i = 0; i < MS_SCRFD_STRIDES; i++)
        levels[i] = conv(n, &levels[i], &(conv_shape){.out = s->neck, .kernel = 1, .stride = 1});
    for (int i = MS_SCRFD_STRIDES - 1; i > 0; i--) {
        value up = twice_as_large(n, &levels[i]);
        levels[i - 1] = add(n, &levels[i - 1], &up);
    }
    for (int i = 0; i < MS_SCRFD_STRIDES; i++)
        levels[i] = conv3(n, &levels[i], s->neck, 1);
    for (int i = 1; i < MS_SCRFD_STRIDES; i++) {
        value down = conv3(n, &levels[i - 1], s->neck, 2);
        levels[i] = add(n, &levels[i], &down);
        levels[i] = conv3(n, &levels[i], s->neck, 1);
    }
}

/* [1, MS_SCRFD_ANCHORS * columns, h, w] from biases alone, as rows of the output. */
static void output(net *n, const value *x, int columns, const char *last, const float *bias,
                   const char *name) {
    static const float no_weights[MS_SCRFD_ANCHORS * 10 * 80 * 9];
    const int64_t perm[4] = {2, 3, 0, 1}, rows[2] = {-1, columns};
    char inputs[4 * NAME_BYTES], shape[2 * NAME_BYTES];
    value y = conv(n, x,
                   &(conv_shape){.out = MS_SCRFD_ANCHORS * columns,
                                 .kernel = 3,
                                 .stride = 1,
                                 .weights = no_weights,
                                 .bias = bias});
    value turned = new_value(n, 0), flat = new_value(n, 0);
    ms_onnx_put_node(&n->w, "Transpose", y.name, turned.name);
    ms_onnx_put_ints(&n->w, "perm", 4, perm);
    snprintf(shape, sizeof(shape), "%s.shape", flat.name);
    ms_onnx_put_i64(&n->w, shape, 1, (int64_t[]){2}, rows);
    snprintf(inputs, sizeof(inputs), "%s,%s", turned.name, shape);
    ms_onnx_put_node(&n->w, "Reshape", inputs, last ? flat.name : name);
    if (last)
        ms_onnx_put_node(&n->w, last, flat.name, name);
}

/* The one face: 80, 40 to 240, 240 of the detector's 512 x 512, which lies in wide
   and in tall pictures. Each cell of stride 32 sees it as far from itself; of equal
   scores the first cell's counts. Scores before the sigmoid. */
#define SEEN 2.0f
#define NOT_SEEN (-8.0f)
static const float face_box[4] = {80, 40, 240, 240};
static const float face_points[10] = {125, 115, 195, 115, 160, 150, 130, 190, 190, 190};

static void head(net *n, const detector_shape *s, const value *level, int stride,
                 const char *const names[3]) {
    float score[MS_SCRFD_ANCHORS], box[MS_SCRFD_ANCHORS * 4], points[MS_SCRFD_ANCHORS * 10];
    value x = *level;
    for (int i = 0; i < s->head_layers; i++)
        x = conv_relu(n, &x, s->head, 1);
    for (int a = 0; a < MS_SCRFD_ANCHORS; a++) {
        score[a] = stride == 32 && a == 0 ? SEEN : NOT_SEEN;
        for (int i = 0; i < 4; i++)
            box[4 * a + i] = (i < 2 ? -face_box[i] : face_box[i]) / (float)stride;
        for (int i = 0; i < 10; i++)
            points[10 * a + i] = face_points[i] / (float)stride;
    }
    output(n, &x, 1, "Sigmoid", score, names[0]);
    output(n, &x, 4, NULL, box, names[1]);
    output(n, &x, 10, NULL, points, names[2]);
}

static ms_status finish(net *n, const char *path, ms_error *err) {
    ms_status status = n->failed ? ms_fail_alloc(err, NULL, n->w.graph.length, "random weights")
                                 : ms_onnx_writer_save(&n->w, path, err);
    ms_onnx_writer_free(&n->w);
    return status;
}

ms_status ms_synthesize_detector(const char *path, uint64_t seed, bool small, ms_error *err) {
    static const char *const names[MS_SCRFD_STRIDES][3] = {
        {"score_8", "bbox_8", "kps_8"}, {"score_16", "bbox_16", "kps_16"}, {"score_32", "bbox_32", "kps_32"}};
    static const int columns[3] = {1, 4, 10};
    const detector_shape *s = small ? &small_detector : &full_detector;
    value levels[MS_SCRFD_STRIDES];
    net n = {.seed = seed};
    ms_onnx_writer_init(&n.w, NULL);
    ms_onnx_put_input(&n.w, "input.1", 4, (int64_t[]){1, 3, -1, -1});
    backbone(&n, s, levels);
    pyramid(&n, s, levels);
    for (int i = 0; i < MS_SCRFD_STRIDES; i++)
        head(&n, s, &levels[i], 8 << i, names[i]);
    for (int kind = 0; kind < 3; kind++)
        for (int i = 0; i < MS_SCRFD_STRIDES; i++)
            ms_onnx_put_output(&n.w, names[i][kind], 2, (int64_t[]){-1, columns[kind]});
    return finish(&n, path, err);
}

/* ---- the landmark net ---- */

/* A face from the front, hundredths of the crop's half side from its middle, x and
   y in turn (docs/demo.md has the order). */
static const int8_t face_shape[MS_LANDMARK106_VALUES] = {
    0,   58,  -46, -17, -32, 39,  -28, 44,  -24, 48,  -20, 52,  -16, 55,  -11, 56,  -6,  58,  -45, -10,
    -45, -2,  -44, 5,   -43, 11,  -41, 17,  -39, 23,  -38, 28,  -35, 34,  46,  -17, 32,  39,  29,  44,
    25,  48,  21,  52,  17,  55,  12,  56,  6,   58,  46,  -10, 45,  -3,  44,  4,   43,  11,  42,  17,
    40,  23,  38,  28,  36,  34,  -21, -14, -20, -18, -30, -18, -26, -15, -15, -15, -20, -18, -10, -16,
    -20, -21, -25, -21, -15, -20, -37, -29, -32, -31, -24, -30, -8,  -28, -16, -29, -32, -33, -24, -34,
    -8,  -31, -16, -33, -15, 29,  0,   39,  -7,  33,  -10, 36,  -4,  39,  7,   33,  10,  36,  5,   39,
    0,   34,  15,  29,  0,   28,  -3,  23,  -9,  25,  -13, 29,  -7,  27,  3,   23,  9,   25,  13,  29,
    7,   27,  0,   24,  0,   -16, 0,   -8,  0,   0,   -4,  -16, -6,  3,   -10, 9,   -8,  13,  -4,  14,
    0,   15,  5,   -16, 6,   3,   10,  9,   9,   13,  4,   14,  0,   8,   21,  -14, 20,  -18, 11,  -16,
    16,  -15, 26,  -15, 20,  -18, 30,  -18, 21,  -21, 15,  -20, 26,  -21, 9,   -28, 16,  -29, 25,  -30,
    32,  -31, 37,  -29, 9,   -31, 16,  -33, 25,  -34, 32,  -33};

static value prelu(net *n, const value *x) {
    value y = new_value(n, x->channels);
    char inputs[4 * NAME_BYTES];
    snprintf(inputs, sizeof(inputs), "%s", x->name);
    parameter(n, inputs, y.name, "slope", 3, (int64_t[]){x->channels, 1, 1}, NULL);
    ms_onnx_put_node(&n->w, "PRelu", inputs, y.name);
    return y;
}

static value scaled(net *n, const char *op, const value *x, float by) {
    value y = new_value(n, x->channels);
    char inputs[4 * NAME_BYTES];
    snprintf(inputs, sizeof(inputs), "%s", x->name);
    parameter(n, inputs, y.name, "by", 0, NULL, &by);
    ms_onnx_put_node(&n->w, op, inputs, y.name);
    return y;
}

ms_status ms_synthesize_landmarks(const char *path, uint64_t seed, bool small, ms_error *err) {
    static const struct {
        int out, stride;
    } layers[] = {{32, 1},  {64, 2},  {64, 1},  {128, 2}, {128, 1}, {256, 2}, {256, 1},
                  {256, 1}, {256, 1}, {256, 1}, {256, 1}, {256, 2}, {256, 2}};
    static const float no_weights[MS_LANDMARK106_VALUES * 256 * 9];
    float shape[MS_LANDMARK106_VALUES];
    char inputs[4 * NAME_BYTES];
    int64_t divisor = small ? 16 : 1, side = MS_LANDMARK106_SIDE / 2;
    net n = {.seed = seed};
    ms_onnx_writer_init(&n.w, NULL);
    ms_onnx_put_input(&n.w, "data", 4, (int64_t[]){-1, 3, MS_LANDMARK106_SIDE, MS_LANDMARK106_SIDE});
    value x = {"data", 3};
    x = scaled(&n, "Sub", &x, 127.5f);
    x = scaled(&n, "Mul", &x, 1.0f / 128);
    x = conv3(&n, &x, 16, 2);
    x = prelu(&n, &x);
    for (int i = 0; i < COUNT(layers); i++) {
        x = conv(
            &n, &x,
            &(conv_shape){.out = x.channels, .kernel = 3, .stride = layers[i].stride, .depthwise = true});
        x = prelu(&n, &x);
        int64_t out = layers[i].out / divisor > 4 ? layers[i].out / divisor : 4;
        x = conv(&n, &x, &(conv_shape){.out = out, .kernel = 1, .stride = 1});
        x = prelu(&n, &x);
        side /= layers[i].stride;
    }
    value flat = new_value(&n, 0);
    ms_onnx_put_node(&n.w, "Flatten", x.name, flat.name);
    ms_onnx_put_int(&n.w, "axis", 1);
    for (int i = 0; i < MS_LANDMARK106_VALUES; i++)
        shape[i] = (float)face_shape[i] / 100;
    snprintf(inputs, sizeof(inputs), "%s", flat.name);
    parameter(&n, inputs, "fc1", "weight", 2, (int64_t[]){MS_LANDMARK106_VALUES, x.channels * side * side},
              no_weights);
    parameter(&n, inputs, "fc1", "bias", 1, (int64_t[]){MS_LANDMARK106_VALUES}, shape);
    ms_onnx_put_node(&n.w, "Gemm", inputs, "fc1");
    ms_onnx_put_int(&n.w, "transB", 1);
    ms_onnx_put_output(&n.w, "fc1", 2, (int64_t[]){-1, MS_LANDMARK106_VALUES});
    return finish(&n, path, err);
}
