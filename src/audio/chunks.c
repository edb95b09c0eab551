#include "audio/chunks.h"

int64_t ms_segment_count(int64_t mel_columns) {
    return mel_columns <= 0 ? 0 : (mel_columns + MS_SEGMENT_COLUMNS - 1) / MS_SEGMENT_COLUMNS;
}

int64_t ms_segment_rows(int64_t mel_columns, int64_t segment) {
    int64_t left = mel_columns - segment * MS_SEGMENT_COLUMNS;
    if (segment < 0 || left <= 0)
        return 0;
    return (left < MS_SEGMENT_COLUMNS ? left : MS_SEGMENT_COLUMNS) / 2;
}

int64_t ms_feature_rows(int64_t mel_columns) {
    _Static_assert(MS_SEGMENT_COLUMNS % 2 == 0, "only the last segment may lose a column");
    return mel_columns <= 0 ? 0 : mel_columns / 2;
}

int64_t ms_chunk_frames(const ms_chunk_params *params, int64_t rows) {
    if (rows <= 0)
        return 0;
    /* The reference multiplies by 50 / fps here and divides by fps in ms_chunk_indices(): the roundings
       differ. */
    double step = MS_FEATURE_HZ / params->fps;
    int64_t last = (int64_t)((double)rows / step);
    while (last > 0 && (int64_t)((double)(last - 1) * step) > rows)
        last--;
    while ((int64_t)((double)last * step) <= rows)
        last++;
    return last + 1;
}

int ms_chunk_rows(const ms_chunk_params *params) {
    return (params->left + params->right + 1) * 2;
}

void ms_chunk_indices(const ms_chunk_params *params, int64_t frame, int64_t rows, int64_t *ret_rows) {
    int64_t first = (int64_t)((double)(frame * MS_FEATURE_HZ) / params->fps) - params->left * 2;
    int n = ms_chunk_rows(params);
    for (int i = 0; i < n; i++) {
        int64_t row = first + i;
        if (row > rows - 1)
            row = rows - 1;
        ret_rows[i] = row < 0 ? 0 : row;
    }
}

int64_t ms_output_samples(int64_t frames, double fps, int rate) {
    return (int64_t)((double)frames / fps * rate);
}

int64_t ms_loop_frames(ms_loop loop, int64_t wanted, int64_t video_frames) {
    if (video_frames <= 0 || wanted <= 0)
        return 0;
    return loop == MS_LOOP_NONE && wanted > video_frames ? video_frames : wanted;
}

int64_t ms_loop_index(ms_loop loop, int64_t frame, int64_t video_frames) {
    if (video_frames <= 0 || frame < 0)
        return -1;
    if (frame < video_frames)
        return frame;
    int64_t lap = frame / video_frames, place = frame % video_frames;
    switch (loop) {
    case MS_LOOP_PINGPONG:
        return lap % 2 ? video_frames - 1 - place : place;
    case MS_LOOP_REPEAT:
        return place;
    case MS_LOOP_HOLD:
        return video_frames - 1;
    case MS_LOOP_NONE:
        break;
    }
    return -1;
}
