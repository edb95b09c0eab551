#include "engine/features.h"

#include <stdio.h>
#include <string.h>

#include "audio/dsp.h"
#include "base/error.h"

#define SEGMENT_ROWS (MS_SEGMENT_COLUMNS / 2)
#define MAX_FRAME_ROWS 256
#define BLOCK_COLUMNS 500 /* made at a time: a sixth of a segment, whose samples would be 1.9 MB */
#define BLOCK_SAMPLES ((size_t)BLOCK_COLUMNS * MS_MEL_HOP + MS_FFT_SIZE)

struct ms_features {
    ms_features_params p;
    ms_network network;
    ms_log_mel *mel;
    int64_t n_rows, row_floats;
    float *samples; /* [BLOCK_SAMPLES], of which are held: */
    int64_t first_held, n_held;
    float *columns, *state; /* of one segment */
    /* States of one segment, [1500][layers + 1][width], and before them the last ones of the
       segment before it: a frame's rows may begin there. No later frame goes back further. */
    float *rows, *tail;
    int64_t segment;            /* -1 = none */
    int64_t n_tail, tail_valid; /* rows; valid: 0 or n_tail */
};

static ms_status build_graph(const void *arg, ms_graph *graph, ms_error *err) {
    const ms_features *f = arg;
    return ms_whisper_build(graph, &f->p.config, err);
}

static ms_status build(ms_features *f, ms_error *err) {
    return ms_network_build(
        &(ms_network_build_params){
            .params = f->p.params, .activation = f->p.compute.activation, .build = build_graph, .arg = f},
        &f->network, err);
}

static ms_status make_buffers(ms_features *f, ms_error *err) {
    ms_mem *mem = f->p.compute.mem;
    size_t states = (size_t)f->p.config.n_ctx * (size_t)f->p.config.n_state,
           rows = (size_t)(f->n_tail + f->p.config.n_ctx) * (size_t)f->row_floats;
    f->samples = ms_alloc_array(mem, MS_LEDGER_STAGING, BLOCK_SAMPLES, sizeof(float));
    f->columns = ms_alloc_array(mem, MS_LEDGER_STAGING,
                                (size_t)MS_SEGMENT_COLUMNS * (size_t)f->p.config.n_mels, sizeof(float));
    f->state = ms_alloc_array(mem, MS_LEDGER_STAGING, states, sizeof(float));
    f->tail = ms_alloc_array(mem, MS_LEDGER_CACHES, rows, sizeof(float));
    if (!f->samples || !f->columns || !f->state || !f->tail)
        return ms_fail_alloc(err, mem, rows * sizeof(float), "speech features");
    f->rows = f->tail + f->n_tail * f->row_floats;
    return MS_OK;
}

ms_status ms_features_create(const ms_features_params *params, ms_features **ret_features,
                             size_t *ret_arena_bytes, ms_error *err) {
    ms_features *f = ms_mem_calloc(params->compute.mem, MS_LEDGER_GENERAL, 1, sizeof(*f));
    if (!f)
        return ms_fail_alloc(err, params->compute.mem, sizeof(*f), "speech features");
    f->p = *params;
    f->n_rows = ms_feature_rows(params->stats.columns);
    f->row_floats = (int64_t)(params->config.n_layer + 1) * params->config.n_state;
    f->n_tail = ms_chunk_rows(&params->chunks) < SEGMENT_ROWS ? ms_chunk_rows(&params->chunks) : SEGMENT_ROWS;
    f->segment = -1;
    ms_status status;
    MS_GOTO(ms_log_mel_create(params->compute.mem, params->compute.pool, &f->mel, err));
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
    ms_mem_free(f->samples);
    ms_mem_free(f->columns);
    ms_mem_free(f->state);
    ms_mem_free(f->tail);
    ms_mem_free(f);
    *features = NULL;
}

void ms_features_set_speech(ms_features *f, ms_mel_stats stats, ms_sample_source source) {
    f->p.stats = stats;
    f->p.source = source;
    f->n_rows = ms_feature_rows(stats.columns);
    f->n_held = 0;
    f->segment = -1;
}

int64_t ms_features_rows(const ms_features *f) {
    return f->n_rows;
}

int64_t ms_features_frames(const ms_features *f) {
    return ms_chunk_frames(&f->p.chunks, f->n_rows);
}

int64_t ms_features_tokens(const ms_features *f) {
    return (int64_t)ms_chunk_rows(&f->p.chunks) * (f->p.config.n_layer + 1);
}

/* Makes these the samples that are held. What is held of them already is not read
   again: a file's reader would have to begin anew. */
static ms_status hold(ms_features *f, int64_t first, int64_t count, ms_error *err) {
    int64_t from = first - f->first_held, had = 0;
    if (from >= 0 && from < f->n_held) {
        had = f->n_held - from < count ? f->n_held - from : count;
        memmove(f->samples, f->samples + from, (size_t)had * sizeof(float));
    }
    f->first_held = first;
    f->n_held = had;
    if (had < count)
        MS_TRY(f->p.source.read(f->p.source.arg, first + had, count - had, f->samples + had, err));
    f->n_held = count;
    return MS_OK;
}

static ms_status read_columns(ms_features *f, int64_t segment, ms_error *err) {
    _Static_assert(MS_SEGMENT_COLUMNS % BLOCK_COLUMNS == 0, "no block crosses a segment's end");
    for (int64_t at = 0; at < MS_SEGMENT_COLUMNS; at += BLOCK_COLUMNS) {
        ms_mel_request r = {.first = segment * MS_SEGMENT_COLUMNS + at,
                            .count = BLOCK_COLUMNS,
                            .samples = f->samples,
                            .dst = f->columns + at * f->p.config.n_mels,
                            .column_stride = f->p.config.n_mels,
                            .bin_stride = 1};
        ms_log_mel_span(&f->p.stats, r.first, r.count, &r.first_sample, &r.n_samples);
        if (r.n_samples)
            MS_TRY(hold(f, r.first_sample, r.n_samples, err));
        MS_TRY(ms_log_mel_columns(f->mel, &f->p.stats, &r, err));
    }
    return MS_OK;
}

/* Runs the encoder on a segment and keeps its states row by row. */
static ms_status encode(ms_features *f, const ms_context *context, int64_t segment, ms_error *err) {
    const ms_whisper_config *c = &f->p.config;
    f->tail_valid = f->segment >= 0 && segment == f->segment + 1 ? f->n_tail : 0;
    if (f->tail_valid)
        memcpy(f->tail, f->rows + (SEGMENT_ROWS - f->n_tail) * f->row_floats,
               (size_t)(f->n_tail * f->row_floats) * sizeof(float));
    f->segment = -1;
    MS_TRY(read_columns(f, segment, err));
    MS_TRY(ms_network_write(&f->network, context, "mel", f->columns, err));
    MS_TRY(ms_network_run(&f->network, context, NULL, err));
    for (int layer = 0; layer <= c->n_layer; layer++) {
        char name[32];
        snprintf(name, sizeof(name), "state_%d", layer);
        MS_TRY(ms_network_read(&f->network, context, name, f->state, err));
        for (int64_t t = 0; t < c->n_ctx; t++)
            memcpy(f->rows + t * f->row_floats + (int64_t)layer * c->n_state, f->state + t * c->n_state,
                   (size_t)c->n_state * sizeof(float));
    }
    f->segment = segment;
    return MS_OK;
}

ms_status ms_features_row(ms_features *f, const ms_context *context, int64_t row, const float **ret_row,
                          ms_error *err) {
    int64_t at = row - f->segment * SEGMENT_ROWS;
    if (f->segment < 0 || at < -f->tail_valid || at >= SEGMENT_ROWS) {
        ms_status status = encode(f, context, row / SEGMENT_ROWS, err);
        if (status != MS_OK) {
            ms_error_where(err, "audio", -1);
            return status;
        }
        at = row % SEGMENT_ROWS;
    }
    *ret_row = f->rows + at * f->row_floats;
    return MS_OK;
}

ms_status ms_features_gather(ms_features *f, const ms_context *context, int64_t first, int64_t count,
                             float *ret_tokens, ms_error *err) {
    int per_frame = ms_chunk_rows(&f->p.chunks);
    int64_t rows[MAX_FRAME_ROWS];
    if (per_frame > MAX_FRAME_ROWS)
        return ms_fail(err, MS_UNSUPPORTED, "audio_feat_length asks for %d rows a frame", per_frame);
    for (int64_t i = 0; i < count; i++) {
        ms_chunk_indices(&f->p.chunks, first + i, f->n_rows, rows);
        for (int j = 0; j < per_frame; j++) {
            const float *row;
            MS_TRY(ms_features_row(f, context, rows[j], &row, err));
            memcpy(ret_tokens + (i * per_frame + j) * f->row_floats, row,
                   (size_t)f->row_floats * sizeof(float));
        }
    }
    return MS_OK;
}

void ms_features_leave(ms_features *f) {
    ms_network_forget(&f->network);
}

const ms_network *ms_features_network(const ms_features *f) {
    return &f->network;
}
