#include "pipeline/features.h"

#include <stdio.h>
#include <string.h>

#include "audio/dsp.h"
#include "base/error.h"

#define SEGMENT_ROWS (MS_SEGMENT_COLUMNS / 2)
#define MAX_FRAME_ROWS 256
#define KEPT_SEGMENTS 2 /* a window of frames touches two at most */

typedef struct segment {
    int64_t index; /* -1 = empty */
    float *rows;   /* [1500][layers + 1][width] */
} segment;

struct ms_features {
    ms_features_params p;
    ms_network network;
    ms_log_mel *mel;
    int64_t rows, row_floats;
    float *samples, *columns, *state; /* of one segment */
    segment kept[KEPT_SEGMENTS];
    int n_kept; /* of speech that is no longer than a segment: 1 */
    int next;   /* to be replaced */
};

static ms_status build(ms_features *f, ms_error *err) {
    ms_graph *graph = NULL;
    MS_TRY(ms_graph_create(f->p.dev->mem, f->p.dev, f->p.weights, &graph, err));
    ms_status status = ms_whisper_build(graph, &f->p.config, err);
    if (status != MS_OK) {
        ms_graph_destroy(&graph);
        return status;
    }
    return ms_network_take(&graph, NULL, &f->network, err);
}

/* The last one that any frame asks for. */
static int64_t last_row(const ms_features *f) {
    int64_t rows[MAX_FRAME_ROWS], last = 0;
    int n = ms_chunk_rows(&f->p.chunks);
    if (f->p.frames <= 0 || n > MAX_FRAME_ROWS)
        return f->rows - 1;
    ms_chunk_indices(&f->p.chunks, f->p.frames - 1, f->rows, rows);
    for (int i = 0; i < n; i++)
        last = rows[i] > last ? rows[i] : last;
    return last;
}

static ms_status make_buffers(ms_features *f, ms_error *err) {
    ms_mem *mem = f->p.dev->mem;
    size_t most = (size_t)MS_SEGMENT_COLUMNS * MS_MEL_HOP + MS_FFT_SIZE,
           states = (size_t)f->p.config.n_ctx * (size_t)f->p.config.n_state;
    f->samples = ms_alloc_array(mem, MS_LEDGER_STAGING, most, sizeof(float));
    f->columns = ms_alloc_array(mem, MS_LEDGER_STAGING,
                                (size_t)MS_SEGMENT_COLUMNS * (size_t)f->p.config.n_mels, sizeof(float));
    f->state = ms_alloc_array(mem, MS_LEDGER_STAGING, states, sizeof(float));
    bool all = f->samples && f->columns && f->state;
    for (int i = 0; i < f->n_kept; i++) {
        f->kept[i].index = -1;
        f->kept[i].rows = ms_alloc_array(mem, MS_LEDGER_CACHES,
                                         (size_t)f->p.config.n_ctx * (size_t)f->row_floats, sizeof(float));
        all = all && f->kept[i].rows;
    }
    return all ? MS_OK : ms_fail_alloc(err, mem, states * sizeof(float), "speech features");
}

ms_status ms_features_create(const ms_features_params *params, ms_features **ret_features,
                             size_t *ret_arena_bytes, ms_error *err) {
    ms_features *f = ms_calloc(params->dev->mem, MS_LEDGER_GENERAL, 1, sizeof(*f));
    if (!f)
        return ms_fail_alloc(err, params->dev->mem, sizeof(*f), "speech features");
    f->p = *params;
    f->rows = ms_feature_rows(params->stats.columns);
    f->n_kept = last_row(f) >= SEGMENT_ROWS ? KEPT_SEGMENTS : 1;
    f->row_floats = (int64_t)(params->config.n_layer + 1) * params->config.n_state;
    ms_status status;
    MS_GOTO(ms_log_mel_create(params->dev->mem, params->dev->pool, &f->mel, err));
    MS_GOTO(build(f, err));
    MS_GOTO(make_buffers(f, err));
    *ret_arena_bytes = f->network.plan->arena_bytes;
    *ret_features = f;
    return MS_OK;
fail:
    ms_features_destroy(&f);
    return status;
}

void ms_features_destroy(ms_features **features) {
    if (!features || !*features)
        return;
    ms_features *f = *features;
    ms_network_clear(&f->network);
    ms_log_mel_destroy(&f->mel);
    ms_free(f->samples);
    ms_free(f->columns);
    ms_free(f->state);
    for (int i = 0; i < KEPT_SEGMENTS; i++)
        ms_free(f->kept[i].rows);
    ms_free(f);
    *features = NULL;
}

int64_t ms_features_rows(const ms_features *f) {
    return f->rows;
}

int64_t ms_features_frames(const ms_features *f) {
    return ms_chunk_frames(&f->p.chunks, f->rows);
}

int64_t ms_features_tokens(const ms_features *f) {
    return (int64_t)ms_chunk_rows(&f->p.chunks) * (f->p.config.n_layer + 1);
}

static ms_status read_columns(ms_features *f, int64_t index, ms_error *err) {
    ms_mel_request r = {.first = index * MS_SEGMENT_COLUMNS,
                        .count = MS_SEGMENT_COLUMNS,
                        .samples = f->samples,
                        .dst = f->columns,
                        .column_stride = f->p.config.n_mels,
                        .bin_stride = 1};
    ms_log_mel_span(&f->p.stats, r.first, r.count, &r.first_sample, &r.n_samples);
    MS_TRY(f->p.source.read(f->p.source.arg, r.first_sample, r.n_samples, f->samples, err));
    return ms_log_mel_columns(f->mel, &f->p.stats, &r, err);
}

/* Runs the encoder on one segment and keeps its states row by row. */
static ms_status encode(ms_features *f, void *arena, int64_t index, segment *slot, ms_error *err) {
    const ms_whisper_config *c = &f->p.config;
    slot->index = -1;
    MS_TRY(read_columns(f, index, err));
    MS_TRY(ms_network_write(&f->network, arena, "mel", f->columns, err));
    MS_TRY(ms_exec_run(f->network.graph, f->network.plan, arena, NULL, err));
    for (int layer = 0; layer <= c->n_layer; layer++) {
        char name[32];
        snprintf(name, sizeof(name), "state_%d", layer);
        MS_TRY(ms_network_read(&f->network, arena, name, f->state, err));
        for (int64_t t = 0; t < c->n_ctx; t++)
            memcpy(slot->rows + t * f->row_floats + (int64_t)layer * c->n_state, f->state + t * c->n_state,
                   (size_t)c->n_state * sizeof(float));
    }
    slot->index = index;
    return MS_OK;
}

ms_status ms_features_row(ms_features *f, void *arena, int64_t row, const float **ret_row, ms_error *err) {
    const int64_t index = row / SEGMENT_ROWS;
    segment *slot = NULL;
    for (int i = 0; i < f->n_kept; i++)
        if (f->kept[i].index == index)
            slot = &f->kept[i];
    if (!slot) {
        slot = &f->kept[f->next];
        f->next = (f->next + 1) % f->n_kept;
        ms_status status = encode(f, arena, index, slot, err);
        if (status != MS_OK) {
            ms_error_where(err, "audio", -1);
            return status;
        }
    }
    *ret_row = slot->rows + row % SEGMENT_ROWS * f->row_floats;
    return MS_OK;
}

ms_status ms_features_gather(ms_features *f, void *arena, int64_t first, int64_t count, float *ret_tokens,
                             ms_error *err) {
    int per_frame = ms_chunk_rows(&f->p.chunks);
    int64_t rows[MAX_FRAME_ROWS];
    if (per_frame > MAX_FRAME_ROWS)
        return ms_fail(err, MS_UNSUPPORTED, "audio_feat_length asks for %d rows a frame", per_frame);
    for (int64_t i = 0; i < count; i++) {
        ms_chunk_indices(&f->p.chunks, first + i, f->rows, rows);
        for (int j = 0; j < per_frame; j++) {
            const float *row;
            MS_TRY(ms_features_row(f, arena, rows[j], &row, err));
            memcpy(ret_tokens + (i * per_frame + j) * f->row_floats, row,
                   (size_t)f->row_floats * sizeof(float));
        }
    }
    return MS_OK;
}

const ms_network *ms_features_network(const ms_features *f) {
    return &f->network;
}
