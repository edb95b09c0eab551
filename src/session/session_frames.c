/* A session's frames: copied in, followed, redrawn a window at a time, handed out in order. */
#include <math.h>
#include <string.h>

#include "base/sized.h"
#include "session/session_internal.h"

/* ---- buffers ---- */

static size_t picture_bytes(const ms_session *s) {
    return (size_t)s->p.width * (size_t)s->p.height * 3;
}

static ms_status make_ring(ms_session *s, ms_error *err) {
    const int64_t least = s->window_frames + s->p.max_gap + 2;
    s->size = s->p.held_frames ? s->p.held_frames : least + s->window_frames;
    if (s->size < least || s->size > MS_RUN_MAX_SINK_FRAMES)
        return ms_fail(err, MS_INVALID_ARGUMENT,
                       "held_frames must be %lld to %d, or 0 for the default, not %d", (long long)least,
                       MS_RUN_MAX_SINK_FRAMES, s->p.held_frames);
    s->ring = ms_mem_calloc(s->mem, MS_LEDGER_FRAMES, (size_t)s->size, sizeof(*s->ring));
    if (!s->ring)
        return ms_fail_alloc(err, s->mem, (size_t)s->size * sizeof(*s->ring), "frames");
    for (int64_t i = 0; i < s->size; i++) {
        s->ring[i].rgb = ms_mem_alloc(s->mem, MS_LEDGER_FRAMES, picture_bytes(s));
        if (!s->ring[i].rgb)
            return ms_fail_alloc(err, s->mem, picture_bytes(s), "frames");
    }
    return MS_OK;
}

ms_status ms_session_make_buffers(ms_session *s, ms_error *err) {
    const size_t side = (size_t)s->geometry.resolution;
    MS_TRY(make_ring(s, err));
    s->align_work_bytes = ms_align_face_workspace_bytes(&s->geometry);
    ms_pool *pool = s->model->compute.pool;
    if (ms_restore_workspace_bytes(&s->geometry, s->p.width, s->p.height, ms_pool_threads(pool)) == 0)
        return ms_fail(err, MS_INVALID_ARGUMENT, "a picture of %dx%d is out of range", s->p.width,
                       s->p.height);
    MS_TRY(ms_restorer_make(s->mem, pool, &s->geometry, s->p.width, s->p.height, s->p.paste == MS_PASTE_MOUTH,
                            &s->restorer, err));
    s->window_faces = ms_alloc_array(s->mem, MS_LEDGER_FRAMES, (size_t)s->window_frames * 3, side * side);
    s->align_work = ms_mem_alloc(s->mem, MS_LEDGER_FRAMES, s->align_work_bytes);
    if (s->p.format == MS_PIXEL_RGB_F32)
        s->floats = ms_alloc_array(s->mem, MS_LEDGER_FRAMES, picture_bytes(s), sizeof(float));
    if (!s->window_faces || !s->align_work || (s->p.format == MS_PIXEL_RGB_F32 && !s->floats))
        return ms_fail_alloc(err, s->mem, s->align_work_bytes, "warping faces");
    return MS_OK;
}

void ms_session_free_buffers(ms_session *s) {
    for (int64_t i = 0; s->ring && i < s->size; i++)
        ms_mem_free(s->ring[i].rgb);
    ms_mem_free(s->ring);
    ms_mem_free(s->faces);
    ms_mem_free(s->window_faces);
    ms_mem_free(s->align_work);
    ms_restorer_free(&s->restorer);
    ms_mem_free(s->floats);
    s->ring = NULL; /* they may be made anew */
    s->faces = NULL;
    s->window_faces = NULL;
    s->align_work = NULL;
    s->floats = NULL;
}

static ms_held_frame *held(const ms_session *s, int64_t number) {
    return &s->ring[number % s->size];
}

/* All that shall come out was pulled. */
static bool is_over(const ms_session *s) {
    return s->p.frames && s->first == s->p.frames;
}

static ms_image image_of(const ms_session *s, int64_t number) {
    return ms_image_rgb(held(s, number)->rgb, s->p.width, s->p.height);
}

/* ---- in ---- */

static ms_status find_given(void *arg, const ms_image_view *frame, int64_t number, bool cut,
                            ms_face_record *ret_record, ms_error *err) {
    const ms_session *s = arg;
    const ms_session_frame *f = s->given;
    (void)frame, (void)number, (void)cut, (void)err;
    if (!f->landmarks)
        return MS_OK;
    memcpy(ret_record->landmarks, f->landmarks, sizeof(ret_record->landmarks));
    ret_record->present = true;
    return MS_OK;
}

ms_face_source ms_session_given_faces(ms_session *s) {
    return (ms_face_source){.find = find_given, .arg = s};
}

/* Resampling overshoots by as much: that is clipped. More means that the frame has another range. */
#define LOWEST (-0.25f)
#define HIGHEST 1.25f

static uint8_t to_byte(float value) {
    return value >= 1 ? 255 : value > 0 ? (uint8_t)lrintf(value * 255) : 0;
}

static bool is_fit(float value) {
    return value >= LOWEST && value <= HIGHEST; /* NaN is not */
}

/* A row of floats, in which one does not fit. */
static ms_status refuse_row(const ms_session *s, const char *from, int y, size_t row, ms_error *err) {
    float value = 0;
    size_t x = 0;
    for (; x < row; x++) {
        memcpy(&value, from + x * sizeof(value), sizeof(value));
        if (!is_fit(value))
            break;
    }
    if (isnan(value))
        return ms_fail(err, MS_INVALID_ARGUMENT, "frame %lld: the value at x %zu, y %d is no number",
                       (long long)s->next, x / 3, y);
    return ms_fail(err, MS_INVALID_ARGUMENT,
                   "frame %lld: floats are from 0 to 1 (%g to %g is clipped), the one at x %zu, y %d is %g: "
                   "scale those from -1 to 1 by (v + 1) / 2, those to 255 by v / 255",
                   (long long)s->next, (double)LOWEST, (double)HIGHEST, x / 3, y, (double)value);
}

static ms_status copy_in(const ms_session *s, const ms_session_frame *f, uint8_t *rgb, ms_error *err) {
    const size_t row = (size_t)s->p.width * 3;
    const bool floats = s->p.format == MS_PIXEL_RGB_F32;
    const ptrdiff_t tight = (ptrdiff_t)(row * (floats ? sizeof(float) : 1)),
                    stride = f->stride_bytes ? f->stride_bytes : tight;
    for (int y = 0; y < s->p.height; y++) {
        const char *from = (const char *)f->pixels + y * stride;
        uint8_t *to = rgb + (size_t)y * row;
        if (!floats) {
            memcpy(to, from, row);
            continue;
        }
        bool fits = true;
        for (size_t x = 0; x < row; x++) {
            float value;
            memcpy(&value, from + x * sizeof(value), sizeof(value));
            fits &= is_fit(value);
            to[x] = to_byte(value);
        }
        if (!fits)
            return refuse_row(s, from, y, row, err);
    }
    return MS_OK;
}

/* For the faces of all new frames, this one included. */
static ms_status make_room(ms_session *s, ms_error *err) {
    if (!s->p.keep_faces || s->next < s->faces_room)
        return MS_OK;
    const int64_t room = s->faces_room ? 2 * s->faces_room : 256;
    ms_pose *faces = ms_alloc_array(s->mem, MS_LEDGER_FRAMES, (size_t)room, sizeof(*faces));
    if (!faces)
        return ms_fail_alloc(err, s->mem, (size_t)room * sizeof(*faces), "where faces are");
    if (s->n_faces)
        memcpy(faces, s->faces, (size_t)s->n_faces * sizeof(*faces));
    ms_mem_free(s->faces);
    s->faces = faces;
    s->faces_room = room;
    return MS_OK;
}

/* What is known by now of the frames that wait. */
static void learn(ms_session *s) {
    ms_face_record record;
    ms_pose pose;
    while (ms_face_follow_take(&s->follow, &record, &pose)) {
        held(s, s->known++)->pose = pose;
        if (s->p.keep_faces)
            s->faces[s->n_faces++] = pose;
    }
}

/* A face goes on from one shown frame to the next as ms_frame_order_get() has it. */
static bool goes_on(const ms_session *s, int64_t from, int64_t to) {
    return from == to || ((to == from + 1 || to == from - 1) && !s->faces[to > from ? to : from].begins);
}

static ms_status check_again(const ms_session *s, const ms_session_frame *f, ms_error *err) {
    const int64_t there = s->again ? s->n_faces : s->next;
    if (f->again == 0)
        return s->again ? ms_fail(err, MS_INVALID_ARGUMENT, "a new frame after one that was shown again")
                        : MS_OK;
    if (!s->p.keep_faces)
        return ms_fail(err, MS_INVALID_ARGUMENT, "again without keep_faces");
    if (f->again < 0 || f->again > there)
        return ms_fail(err, MS_INVALID_ARGUMENT, "again is 1 + the number of one of %lld frames, not %lld",
                       (long long)there, (long long)f->again);
    return f->landmarks ? ms_fail(err, MS_INVALID_ARGUMENT, "landmarks of a frame that is shown again")
                        : MS_OK;
}

/* The face of a frame that is shown again, into the ring. */
static void show_again(ms_session *s, const ms_session_frame *f, ms_held_frame *h) {
    const int64_t to = f->again - 1;
    if (!s->again) {
        ms_face_follow_finish(&s->follow);
        learn(s);
        s->again = true;
        s->shown = s->n_faces - 1;
    }
    h->pose = s->faces[to];
    h->pose.begins = f->begins_scene || s->begins || !goes_on(s, s->shown, to);
    s->shown = to;
    s->known++;
}

static ms_status check_frame(const ms_session *s, const ms_session_frame *f, ms_error *err) {
    const ptrdiff_t row = (ptrdiff_t)s->p.width * 3 * (s->p.format == MS_PIXEL_RGB_F32 ? 4 : 1);
    if (!f->pixels)
        return ms_fail(err, MS_INVALID_ARGUMENT, "a frame without pixels");
    if (f->stride_bytes > -row && f->stride_bytes < row && f->stride_bytes != 0)
        return ms_fail(err, MS_INVALID_ARGUMENT, "stride_bytes is %td; a row has %td bytes", f->stride_bytes,
                       row);
    if (f->landmarks && !s->p.given_faces)
        return ms_fail(err, MS_INVALID_ARGUMENT, "landmarks in a session that looks for faces itself");
    for (int i = 0; f->landmarks && i < MS_LANDMARKS; i++)
        if (!isfinite(f->landmarks[i][0]) || !isfinite(f->landmarks[i][1]))
            return ms_fail(err, MS_INVALID_ARGUMENT, "frame %lld: landmark %d is no number",
                           (long long)s->next, i);
    return check_again(s, f, err);
}

static ms_status look(ms_session *s, const ms_session_frame *f, ms_error *err) {
    const ms_image image = image_of(s, s->next);
    const ms_image_view view = ms_image_as_view(&image);
    s->given = f;
    ms_status status = ms_face_follow_look(&s->follow, &view, f->begins_scene || s->begins, err);
    s->given = NULL;
    return status == MS_OK ? MS_OK : ms_session_failed(s, status, err);
}

ms_status ms_session_push_sized(ms_session *s, const ms_session_frame *frame, size_t frame_bytes,
                                bool *ret_taken, ms_error *err) {
    ms_session_frame f = {0};
    ms_error_clear(err);
    MS_READ_SIZED(&f, frame, frame_bytes, err);
    MS_NEED(s, err);
    MS_NEED(ret_taken, err);
    MS_TRY(ms_session_check(s, err));
    MS_TRY(check_frame(s, &f, err));
    if (s->ended || is_over(s))
        return ms_fail(err, MS_INVALID_ARGUMENT, "a frame after the end");
    if (s->next - s->first == s->size) {
        *ret_taken = false;
        return MS_OK;
    }
    MS_TRY(make_room(s, err));
    ms_held_frame *h = held(s, s->next);
    h->done = h->redrawn = h->ends = false;
    MS_TRY(copy_in(s, &f, h->rgb, err)); /* a frame that is refused is not there: another may be pushed */
    if (f.again)
        show_again(s, &f, h);
    else
        MS_TRY(look(s, &f, err));
    s->begins = false;
    s->next++;
    *ret_taken = true;
    atomic_store(&s->pushed, s->next);
    if (!f.again)
        learn(s);
    return MS_OK;
}

/* ---- a window ---- */

static ms_status deliver(void *arg, int64_t index, const float *face, ms_error *err) {
    ms_session *s = arg;
    if (index < s->delivered) /* before an allocation failed and the window began anew */
        return MS_OK;
    ms_held_frame *h = held(s, s->first + index);
    const ms_image image = image_of(s, s->first + index);
    MS_TRY(ms_restorer_put(&s->restorer, face, (const float(*)[3])h->pose.affine, &image, err));
    h->done = h->redrawn = true;
    s->delivered = index + 1;
    atomic_fetch_add(&s->redrawn, 1);
    return MS_OK;
}

static ms_status align(ms_session *s, int64_t count, ms_error *err) {
    const int side = s->geometry.resolution;
    for (int64_t i = 0; i < count; i++) {
        const ms_image image = image_of(s, s->first + i);
        const ms_image_view view = ms_image_as_view(&image);
        const ms_image face =
            ms_image_rgb(s->window_faces + (size_t)i * (size_t)side * (size_t)side * 3, side, side);
        MS_TRY(ms_align_face(&s->geometry, &view, held(s, s->first + i)->pose.affine, &face, s->align_work,
                             s->align_work_bytes, err));
    }
    return MS_OK;
}

static ms_status redraw(ms_session *s, int64_t count, ms_error *err) {
    const ms_window w = {
        .frames = count, .first_frame = s->first, .faces = s->window_faces, .deliver = deliver, .arg = s};
    s->delivered = 0;
    ms_session_enter(s, "faces");
    MS_TRY(align(s, count, err));
    MS_TRY(ms_redraw_follow(&s->redraw, s->first, err));
    for (;;) {
        ms_session_enter(s, "audio");
        ms_status status = ms_engine_run_window(s->redraw.engine, &w, err);
        if (status == MS_OK)
            return MS_OK;
        if (status == MS_CANCELLED)
            return ms_fail(err, MS_CANCELLED, "cancelled after %lld frames", (long long)s->first);
        MS_TRY(ms_redraw_recover(&s->redraw, s->first, status, err));
    }
}

/* Frames from the first on that are redrawn together, 0 = the first passes through; -1 = not known yet. */
static int64_t ready(const ms_session *s) {
    const int64_t speech = ms_engine_speech_frames(s->redraw.engine);
    int64_t n = 0;
    for (; n < s->window_frames; n++) {
        const int64_t number = s->first + n;
        if (n > 0 && (number >= speech || (s->p.frames && number == s->p.frames)))
            return n; /* whatever that frame shows */
        if (number >= s->known)
            return -1;
        const ms_held_frame *h = held(s, number);
        if (number >= speech || !h->pose.present || (n > 0 && h->pose.begins))
            return n;
        if (h->ends)
            return n + 1;
    }
    return n;
}

static ms_status work(ms_session *s, ms_error *err) {
    if (!s->speech_ended || s->first == s->known || is_over(s))
        return MS_OK;
    int64_t n = ready(s);
    if (n == 0)
        held(s, s->first)->done = true;
    return n > 0 ? redraw(s, n, err) : MS_OK;
}

/* ---- out ---- */

static const void *picture(ms_session *s, const ms_held_frame *h) {
    if (!s->floats)
        return h->rgb;
    for (size_t i = 0; i < picture_bytes(s); i++)
        s->floats[i] = (float)h->rgb[i] / 255.0f;
    return s->floats;
}

ms_status ms_session_pull_sized(ms_session *s, ms_session_frame *ret_frame, size_t frame_bytes, bool *ret_got,
                                ms_error *err) {
    ms_error_clear(err);
    MS_CHECK_SIZED(ret_frame, frame_bytes, err);
    MS_NEED(s, err);
    MS_NEED(ret_frame, err);
    MS_NEED(ret_got, err);
    MS_TRY(ms_session_check(s, err));
    if (is_over(s)) {
        *ret_got = false;
        return MS_OK;
    }
    if (s->first == s->next || !held(s, s->first)->done) {
        ms_status status = work(s, err);
        ms_session_enter(s, "");
        if (status != MS_OK)
            return ms_session_failed(s, status, err);
    }
    const ms_held_frame *h = held(s, s->first);
    *ret_got = s->first < s->next && h->done;
    if (!*ret_got)
        return MS_OK;
    const ms_session_frame f = {.number = s->first,
                                .pixels = picture(s, h),
                                .stride_bytes = (ptrdiff_t)(s->floats ? sizeof(float) : 1) * s->p.width * 3,
                                .redrawn = h->redrawn};
    ms_sized_fill(ret_frame, frame_bytes, &f, sizeof(f));
    s->first++;
    atomic_store(&s->pulled, s->first);
    return MS_OK;
}

ms_status ms_session_flush(ms_session *s, ms_error *err) {
    ms_error_clear(err);
    MS_NEED(s, err);
    MS_TRY(ms_session_check(s, err));
    ms_face_follow_finish(&s->follow);
    learn(s);
    ms_face_follow_init(&s->follow, s->follow.source, &s->geometry, s->next, s->p.max_gap);
    if (s->next > s->first)
        held(s, s->next - 1)->ends = true;
    s->begins = s->next > 0;
    return MS_OK;
}

ms_status ms_session_end(ms_session *s, ms_error *err) {
    MS_TRY(ms_session_flush(s, err));
    s->ended = true;
    return MS_OK;
}

bool ms_session_ended(const ms_session *s) {
    return s && ((s->ended && s->first == s->next) || is_over(s));
}
