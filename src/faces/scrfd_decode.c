#include "faces/detect.h"

#include <math.h>
#include <string.h>

#include "base/error.h"
#include "pictures/scratch.h"

typedef struct candidate {
    float box[4], area, score;
    int32_t level, row;
} candidate;

static const int strides[MS_SCRFD_LEVELS] = {8, 16, 32};

static size_t rows_of(int side, int level) {
    size_t cells = (size_t)(side / strides[level]);
    return cells * cells * MS_SCRFD_ANCHORS;
}

static candidate *lay_out(ms_scratch *scratch, int side) {
    size_t rows = 0;
    for (int level = 0; level < MS_SCRFD_LEVELS; level++)
        rows += rows_of(side, level);
    return ms_scratch_take(scratch, rows, sizeof(candidate));
}

size_t ms_scrfd_workspace_bytes(int side) {
    ms_scratch scratch = ms_scratch_begin(NULL);
    lay_out(&scratch, side);
    return ms_scratch_total(&scratch);
}

/* Top left corner of a row's cell in the network's input. */
static void corner_of(int side, int level, int32_t row, float ret_corner[2]) {
    int cell = row / MS_SCRFD_ANCHORS, width = side / strides[level];
    ret_corner[0] = (float)(cell % width * strides[level]);
    ret_corner[1] = (float)(cell / width * strides[level]);
}

static bool decode_box(const ms_scrfd_output *output, int side, float scale, candidate *c) {
    float corner[2], stride = (float)strides[c->level];
    const float *distance = output->box + (size_t)c->row * 4;
    corner_of(side, c->level, c->row, corner);
    for (int i = 0; i < 4; i++) {
        float d = distance[i] * stride;
        c->box[i] = (i < 2 ? corner[i] - d : corner[i - 2] + d) / scale;
        if (!isfinite(c->box[i]))
            return false;
    }
    c->area = (c->box[2] - c->box[0] + 1.0f) * (c->box[3] - c->box[1] + 1.0f);
    return true;
}

static bool decode_key_points(const ms_scrfd_output *output, int side, float scale, const candidate *c,
                              float ret_points[5][2]) {
    float corner[2], stride = (float)strides[c->level];
    const float *distance = output->key_points + (size_t)c->row * 10;
    corner_of(side, c->level, c->row, corner);
    bool finite = true;
    for (int i = 0; i < 10; i++) {
        ret_points[i / 2][i % 2] = (corner[i % 2] + distance[i] * stride) / scale;
        finite = finite && isfinite(ret_points[i / 2][i % 2]);
    }
    return finite;
}

/* Does p come before q? Total: no two candidates share level and row. */
static bool precedes(const candidate *p, const candidate *q) {
    if (p->score != q->score)
        return p->score > q->score;
    return p->level != q->level ? p->level < q->level : p->row < q->row;
}

/* Lets the element at `at` of a heap whose top comes last sink to its place. */
static void sink(candidate *heap, int at, int count) {
    candidate moving = heap[at];
    for (int child; (child = 2 * at + 1) < count; at = child) {
        if (child + 1 < count && precedes(&heap[child], &heap[child + 1]))
            child++;
        if (!precedes(&moving, &heap[child]))
            break;
        heap[at] = heap[child];
    }
    heap[at] = moving;
}

/* Heap sort: qsort() may allocate behind the ledgers' back. */
static void sort(candidate *list, int count) {
    for (int i = count / 2 - 1; i >= 0; i--)
        sink(list, i, count);
    for (int end = count - 1; end > 0; end--) {
        candidate last = list[0];
        list[0] = list[end];
        list[end] = last;
        sink(list, 0, end);
    }
}

static float larger(float a, float b) {
    return a > b ? a : b;
}

static float smaller(float a, float b) {
    return a < b ? a : b;
}

/* Overlap over union with pixel-counting sides (+1), as the detector was tuned. */
static float overlap(const candidate *p, const candidate *q) {
    float w = smaller(p->box[2], q->box[2]) - larger(p->box[0], q->box[0]) + 1.0f;
    float h = smaller(p->box[3], q->box[3]) - larger(p->box[1], q->box[1]) + 1.0f;
    float both = larger(0.0f, w) * larger(0.0f, h);
    return both / (p->area + q->area - both);
}

/* Keeps the best of every heap of overlapping boxes, in place; returns how many. */
static int suppress(candidate *list, int count, int capacity) {
    int kept = 0;
    for (int i = 0; i < count && kept < capacity; i++) {
        bool same = false;
        for (int k = 0; k < kept && !same; k++)
            same = !(overlap(&list[k], &list[i]) <= MS_DETECT_NMS);
        if (!same)
            list[kept++] = list[i];
    }
    return kept;
}

ms_status ms_scrfd_decode(const ms_scrfd_output outputs[MS_SCRFD_LEVELS], int side, float scale,
                          ms_detection *ret_faces, int capacity, int *ret_count, void *work,
                          size_t work_bytes, ms_error *err) {
    if (side < 32 || side % 32 || side > MS_IMAGE_MAX_PX || !(scale > 0.0f) || capacity < 0)
        return ms_fail(err, MS_INVALID_ARGUMENT, "detector input of side %d with scale %g", side, scale);
    if (!work || work_bytes < ms_scrfd_workspace_bytes(side))
        return ms_fail(err, MS_INVALID_ARGUMENT, "decoding faces needs %zu bytes of workspace, got %zu",
                       ms_scrfd_workspace_bytes(side), work_bytes);
    ms_scratch scratch = ms_scratch_begin(work);
    candidate *list = lay_out(&scratch, side);
    int count = 0, found = 0;
    for (int level = 0; level < MS_SCRFD_LEVELS; level++)
        for (int32_t row = 0; row < (int32_t)rows_of(side, level); row++) {
            candidate c = {.score = outputs[level].score[row], .level = level, .row = row};
            if (c.score >= MS_DETECT_THRESHOLD && isfinite(c.score) &&
                decode_box(&outputs[level], side, scale, &c))
                list[count++] = c;
        }
    sort(list, count);
    count = suppress(list, count, capacity);
    for (int i = 0; i < count; i++) {
        ms_detection face = {.score = list[i].score};
        memcpy(face.box, list[i].box, sizeof(face.box));
        if (decode_key_points(&outputs[list[i].level], side, scale, &list[i], face.key_points))
            ret_faces[found++] = face;
    }
    *ret_count = found;
    return MS_OK;
}
