#include "weights/weight_upload.h"

#include "base/error.h"

typedef struct slot {
    void *host, *raw; /* raw: on the device */
    ms_event *done;   /* when the device has read the host's side */
} slot;

struct ms_weight_upload {
    ms_compute compute;
    ms_queue *queue;
    size_t slot_bytes;
    slot slots[2];
    int next;
};

static int64_t row_elements(const ms_loaded_param *p) {
    return p->elements / p->decl->shape[0];
}

ms_status ms_weight_upload_create(const ms_compute *compute, size_t slot_bytes, ms_weight_upload **ret_upload,
                                  ms_error *err) {
    const ms_backend *b = compute->dev->backend;
    ms_weight_upload *u = ms_mem_calloc(compute->mem, MS_LEDGER_GENERAL, 1, sizeof(*u));
    if (!u)
        return ms_fail_alloc(err, compute->mem, sizeof(*u), "uploading weights");
    u->compute = *compute;
    u->slot_bytes = slot_bytes;
    ms_status status = b->queue_create(compute->dev, &u->queue);
    for (int i = 0; i < 2 && status == MS_OK; i++)
        status = b->event_create(compute->dev, &u->slots[i].done);
    if (status != MS_OK) {
        ms_fail(err, status, "uploading weights: cannot make a queue: %s", ms_status_text(status));
        goto fail;
    }
    for (int i = 0; i < 2; i++) {
        slot *s = &u->slots[i];
        MS_GOTO(
            ms_device_alloc(compute->dev, MS_LEDGER_STAGING, slot_bytes, "uploading weights", &s->raw, err));
        s->host = b->host_alloc(compute->dev, MS_LEDGER_STAGING, slot_bytes);
        if (!s->host) {
            status = ms_fail_alloc(err, compute->mem, slot_bytes, "uploading weights");
            goto fail;
        }
    }
    *ret_upload = u;
    return MS_OK;
fail:
    ms_weight_upload_destroy(&u);
    return status;
}

void ms_weight_upload_destroy(ms_weight_upload **upload) {
    if (!upload || !*upload)
        return;
    ms_weight_upload *u = *upload;
    ms_device *dev = u->compute.dev;
    for (int i = 0; i < 2; i++)
        if (u->slots[i].done)
            dev->backend->finish(u->slots[i].done);
    if (u->queue)
        dev->backend->queue_destroy(&u->queue);
    for (int i = 0; i < 2; i++) {
        slot *s = &u->slots[i];
        if (s->done)
            dev->backend->event_destroy(&s->done);
        if (s->host)
            dev->backend->host_free(dev, s->host);
        ms_device_free(dev, s->raw);
    }
    ms_mem_free(u);
    *upload = NULL;
}

ms_queue *ms_weight_upload_queue(ms_weight_upload *u) {
    return u->queue;
}

static ms_status failed(ms_status status, const ms_loaded_param *p, ms_error *err) {
    return ms_fail(err, status, "uploading %s: %s", p->decl->name[0] ? p->decl->name[0] : "weights",
                   ms_status_text(status));
}

/* The slot whose turn it is, as soon as the device has done with what it held. */
static ms_status take_slot(ms_weight_upload *u, slot **ret_slot) {
    slot *s = &u->slots[u->next];
    u->next = 1 - u->next;
    *ret_slot = s;
    return u->compute.dev->backend->finish(s->done);
}

static ms_status send_vector(ms_weight_upload *u, const ms_weight_source *from, const ms_loaded_param *p,
                             char *dst, ms_error *err) {
    const ms_backend *b = u->compute.dev->backend;
    const int64_t most = (int64_t)(u->slot_bytes / sizeof(float));
    for (int64_t all = p->elements * p->decl->parts, first = 0, count; first < all; first += count) {
        int64_t in_part = p->elements - first % p->elements; /* a piece lies within one part */
        slot *s;
        count = in_part < most ? in_part : most;
        ms_status status = take_slot(u, &s);
        if (status != MS_OK)
            return failed(status, p, err);
        MS_TRY(ms_source_read_vector(from, p, first, count, s->host, err));
        size_t bytes = (size_t)count * sizeof(float);
        if (dst)
            status = b->upload(u->queue, dst + (size_t)first * sizeof(float), s->host, bytes);
        if (dst && status == MS_OK)
            status = b->record(u->queue, s->done);
        if (status != MS_OK)
            return failed(status, p, err);
    }
    return MS_OK;
}

static ms_status send_matrix(ms_weight_upload *u, const ms_weight_source *from, const ms_loaded_param *p,
                             char *dst, ms_error *err) {
    const ms_backend *b = u->compute.dev->backend;
    const ms_dtype raw = ms_source_raw_dtype(from, p);
    const ms_weight_shape shape = ms_loaded_shape(from->w, p);
    const size_t row = (size_t)row_elements(p) * ms_dtype_bytes(raw);
    const int64_t part_rows = p->decl->shape[0], most = (int64_t)(u->slot_bytes / row);
    if (most < 1)
        return ms_fail(err, MS_INTERNAL, "a row of %zu bytes in a slot of %zu", row, u->slot_bytes);
    ms_status status = dst ? b->fill(u->queue, dst, 0, b->weight_bytes(&shape)) : MS_OK;
    for (int64_t first = 0, rows; first < part_rows * p->decl->parts && status == MS_OK; first += rows) {
        slot *s;
        rows = part_rows - first % part_rows;
        rows = rows < most ? rows : most;
        status = take_slot(u, &s);
        if (status != MS_OK)
            break;
        MS_TRY(ms_source_read_rows(from, p, raw, first, rows, s->host, err));
        if (!dst)
            continue;
        status = b->upload(u->queue, s->raw, s->host, (size_t)rows * row);
        if (status == MS_OK)
            status = b->weight_prepare(u->queue, &shape, raw, first, rows, s->raw, dst);
        if (status == MS_OK)
            status = b->record(u->queue, s->done);
    }
    return status == MS_OK ? MS_OK : failed(status, p, err);
}

ms_status ms_weight_upload_param(ms_weight_upload *u, const ms_weight_source *from, const ms_loaded_param *p,
                                 void *dst, ms_error *err) {
    return p->decl->vector ? send_vector(u, from, p, dst, err) : send_matrix(u, from, p, dst, err);
}

ms_status ms_weight_upload_finish(ms_weight_upload *u, ms_error *err) {
    for (int i = 0; i < 2; i++) {
        ms_status status = u->compute.dev->backend->finish(u->slots[i].done);
        if (status != MS_OK)
            return ms_fail(err, status, "uploading weights: %s", ms_status_text(status));
    }
    return MS_OK;
}
