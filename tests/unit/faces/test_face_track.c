/* Scene cuts, tracks, gaps and track files. */
#include "test.h"

#include <unistd.h>

#include "faces/scene.h"
#include "faces/track.h"
#include "faces/track_file.h"
#include "support/media/drawn.h"
#include "support/media/picture.h"
#include "support/models/tensors.h"

static ms_error err;

static ms_detection face_at(float x, float y, float size) {
    return (ms_detection){{x, y, x + size, y + size * 1.25f}, 0.9f, {{0}}};
}

static void largest_face_is_followed(void **state) {
    (void)state;
    ms_tracker t;
    ms_tracker_init(&t, MS_FACE_LARGEST, 0, 3);
    ms_detection two[2] = {face_at(100, 100, 90), face_at(400, 100, 100)};
    ms_tracked r = ms_tracker_advance(&t, 0, two, 2, false);
    assert_int_equal(r.face, 1);
    assert_false(r.jumped);
    two[0] = face_at(100, 100, 200); /* the other one comes closer: no reason to leave */
    r = ms_tracker_advance(&t, 1, two, 2, false);
    assert_int_equal(r.face, 1);
    ms_detection swapped[2] = {two[1], two[0]};
    r = ms_tracker_advance(&t, 2, swapped, 2, false);
    assert_int_equal(r.face, 0);
    for (int f = 3; f < 6; f++) { /* gone for three frames: waited for */
        r = ms_tracker_advance(&t, f, two, 1, false);
        assert_int_equal(r.face, -1);
    }
    r = ms_tracker_advance(&t, 6, two, 2, false);
    assert_int_equal(r.face, 1);
    for (int f = 7; f < 10; f++)
        assert_int_equal(ms_tracker_advance(&t, f, two, 1, false).face, -1);
    assert_int_equal(ms_tracker_advance(&t, 10, two, 1, false).face, -1);
    assert_int_equal(ms_tracker_advance(&t, 11, two, 1, false).face, 0); /* the fourth is one too many */
}

static void faces_by_number(void **state) {
    (void)state;
    ms_tracker t;
    ms_tracker_init(&t, MS_FACE_INDEX, 1, 3);
    ms_detection three[3] = {face_at(100, 100, 90), face_at(400, 100, 120), face_at(700, 100, 80)};
    assert_int_equal(ms_tracker_advance(&t, 0, three, 1, false).face, -1); /* number 0 alone */
    assert_int_equal(ms_tracker_advance(&t, 1, three, 3, false).face, 1); /* the larger of the two new ones */
    assert_int_equal(ms_tracker_advance(&t, 2, three, 3, false).face, 1);
    assert_int_equal(ms_tracker_advance(&t, 3, three, 3, true).face, 0); /* a new scene: 400 is 0, 100 is 1 */
    for (int f = 4; f < 60; f++)
        assert_int_equal(ms_tracker_advance(&t, f, three + 1, 1, false).face, -1);
    assert_int_equal(ms_tracker_advance(&t, 60, three, 3, false).face, 0); /* back where it was */
}

static void jumps_are_followed(void **state) {
    (void)state;
    ms_tracker t;
    ms_tracker_init(&t, MS_FACE_LARGEST, 0, 12);
    ms_detection here = face_at(100, 100, 100), there = face_at(500, 120, 110), huge = face_at(100, 100, 400);
    assert_false(ms_tracker_advance(&t, 0, &here, 1, false).jumped);
    ms_tracked r = ms_tracker_advance(&t, 1, &there, 1, false);
    assert_int_equal(r.face, 0);
    assert_true(r.jumped);
    r = ms_tracker_advance(&t, 2, &there, 1, false);
    assert_int_equal(r.face, 0);
    assert_false(r.jumped);
    r = ms_tracker_advance(&t, 3, &huge, 1, false); /* sixteen times the area: somebody else */
    assert_int_equal(r.face, -1);
    ms_detection pair[2] = {face_at(900, 100, 100), face_at(900, 400, 100)};
    ms_tracker_init(&t, MS_FACE_LARGEST, 0, 12);
    ms_tracker_advance(&t, 0, &here, 1, false);
    /* two to choose from: no guessing */
    assert_int_equal(ms_tracker_advance(&t, 1, pair, 2, false).face, -1);
}

static void reference_choice(void **state) {
    (void)state;
    ms_tracker t;
    ms_tracker_init(&t, MS_FACE_LARGEST_EACH, 0, 12);
    ms_detection two[2] = {face_at(100, 100, 90), face_at(400, 100, 100)};
    assert_int_equal(ms_tracker_advance(&t, 0, two, 2, false).face, 1);
    two[0] = face_at(100, 100, 200);
    assert_int_equal(ms_tracker_advance(&t, 1, two, 2, false).face, 0);
    two[0].score = 0.4f;
    assert_int_equal(ms_tracker_advance(&t, 2, two, 2, false).face, 1);
    assert_int_equal(ms_tracker_advance(&t, 3, two, 0, false).face, -1);
}

/* More faces than are followed, every frame elsewhere. */
static void crowds_are_survived(void **state) {
    (void)state;
    ms_detection *crowd = malloc(100 * sizeof(*crowd));
    ms_tracker t;
    uint64_t seed = 4;
    ms_tracker_init(&t, MS_FACE_LARGEST, 0, 12);
    for (int f = 0; f < 200; f++) {
        int n = (int)(test_rand(&seed) % 100), largest = -1;
        for (int i = 0; i < n; i++) {
            crowd[i] = face_at(20000 * test_uniform(&seed), 20000 * test_uniform(&seed),
                               200 + 130 * test_uniform(&seed));
            if (test_rand(&seed) % 9 == 0)
                crowd[i].box[2] = NAN;
        }
        largest = ms_face_largest(crowd, n);
        ms_tracked r = ms_tracker_advance(&t, f, crowd, n, f == 100);
        assert_true(r.face >= -1 && r.face < n);
        if (f == 0 || f == 100)
            assert_int_equal(r.face, largest);
    }
    free(crowd);
}

static ms_face_record record_at(int64_t frame, float x) {
    ms_face_record r = {.frame = frame, .present = true, .box = {x, 0, x + 10, 20}};
    for (int i = 0; i < MS_LANDMARKS; i++) {
        r.landmarks[i][0] = x + (float)i;
        r.landmarks[i][1] = 2 * x;
    }
    return r;
}

/* script: one letter a frame: f face, . none, c face after a cut, x no face after a cut. Returns what comes
   out: F a face, B a face that begins, I interpolated, - none. */
static const char *run_filler(const char *script, int max_gap, int *ret_lag) {
    static char out[64];
    ms_gap_filler f;
    ms_face_record got;
    int n = 0, lag = 0;
    ms_gap_filler_init(&f, 100, max_gap);
    for (int i = 0;; i++) {
        if (script[i]) {
            ms_face_record r = record_at(100 + i, (float)(10 * i));
            r.present = script[i] == 'f' || script[i] == 'c';
            r.begins = script[i] == 'c' || script[i] == 'x';
            assert_true(ms_gap_filler_push(&f, &r));
        } else {
            ms_gap_filler_finish(&f);
        }
        while (ms_gap_filler_take(&f, &got)) {
            assert_int_equal(got.frame, 100 + n);
            assert_false(got.begins && (got.interpolated || !got.present));
            if (got.present) /* on the line through the sightings, since they lie on one */
                assert_true(fabsf(got.landmarks[7][1] - (float)(20 * n)) < 1e-3f &&
                            got.box[0] == (float)(10 * n));
            out[n++] = !got.present ? '-' : got.interpolated ? 'I' : got.begins ? 'B' : 'F';
        }
        if (i + 1 - n > lag && script[i])
            lag = i + 1 - n;
        if (!script[i])
            break;
    }
    out[n] = 0;
    *ret_lag = lag;
    return out;
}

static void gaps(void **state) {
    (void)state;
    static const struct {
        const char *script, *want;
        int max_gap, lag;
    } cases[] = {
        {"ffff", "BFFF", 3, 0},
        {"ff..ff", "BFIIFF", 3, 2},
        {"ff...ff", "BFIIIFF", 3, 3},
        {"ff....ff", "BF----BF", 3, 3},
        {"..ff", "--BF", 3, 0},
        {"ff..", "BF--", 3, 2},
        {"ffcf", "BFBF", 3, 0},
        {"ff.cf", "BF-BF", 3, 1},
        {"ff.x.f", "BF---B", 3, 1},
        {"f.f.f", "BIFIF", 1, 1},
        {"f..f", "B--B", 1, 1},
        {"f.f", "B-B", 0, 0},
        {"", "", 3, 0},
        {"f.....f", "B-----B", 3, 3},
        {"f..c..f", "B--BIIF", 5, 2},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        int lag;
        assert_string_equal(run_filler(cases[i].script, cases[i].max_gap, &lag), cases[i].want);
        assert_int_equal(lag, cases[i].lag);
    }
    ms_gap_filler f;
    ms_gap_filler_init(&f, 0, 3);
    ms_face_record r = record_at(1, 0);
    assert_false(ms_gap_filler_push(&f, &r)); /* not the next frame */
    r.frame = 0;
    assert_true(ms_gap_filler_push(&f, &r));
    r.frame = 1;
    assert_false(ms_gap_filler_push(&f, &r)); /* the first was not taken */
}

static void scenes(void **state) {
    (void)state;
    ms_image picture = test_drawn_image(160, 90, 3), other = test_blank_image(160, 90, 3);
    for (int i = 0; i < 160 * 90 * 3; i++)
        picture.data[i] = (uint8_t)(60 + picture.data[i] / 4);
    memset(other.data, 170, 160 * 90 * 3);
    ms_image_view a = ms_image_as_view(&picture), b = ms_image_as_view(&other),
                  tiny = {a.data, 15, 15, 3, 480};
    ms_scene scene = {0};
    assert_false(ms_scene_advance(&scene, &b)); /* the first frame */
    assert_false(ms_scene_advance(&scene, &b));
    assert_true(ms_scene_advance(&scene, &a));
    assert_false(ms_scene_advance(&scene, &a));
    assert_true(ms_scene_advance(&scene, &b));
    assert_false(ms_scene_advance(&scene, &tiny));
    /* A fade changes as much from frame to frame, but steadily. */
    int cuts = 0;
    scene = (ms_scene){0};
    for (int level = 10; level < 250; level += 24) {
        memset(other.data, level, 160 * 90 * 3);
        cuts += ms_scene_advance(&scene, &b);
    }
    assert_int_equal(cuts, 1); /* its onset */
    free(picture.data);
    free(other.data);
    char path[600];
    test_video clip;
    if (!golden_path(path, sizeof(path), "e2e/clip.mkv") || !test_video_read(path, &clip)) {
        print_message("no golden clip, or no FFmpeg\n");
        skip();
    }
    scene = (ms_scene){0};
    for (int f = 0; f < clip.frames; f++) {
        ms_image_view v = {test_video_frame(&clip, f), clip.width, clip.height, 3, (size_t)clip.width * 3};
        assert_false(ms_scene_advance(&scene, &v));
        assert_true(scene.change < 5);
    }
    test_video_free(&clip);
}

static const char *temp_path(char *buf, size_t n) {
    snprintf(buf, n, "/tmp/memsafe_track_%ld.jsonl", (long)getpid());
    return buf;
}

static void write_text(const char *path, const char *text, size_t length) {
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(text, 1, length, f), length);
    fclose(f);
}

static void files_round_trip(void **state) {
    (void)state;
    char path[100], part[120];
    ms_track_writer *w;
    ms_track_reader *r;
    ms_face_record record, got;
    bool more;
    temp_path(path, sizeof(path));
    snprintf(part, sizeof(part), "%s.part", path);
    unlink(path);
    assert_ms_ok(ms_track_writer_create(NULL, path, true, &w, &err), &err);
    for (int f = 0; f < 300; f += 3) {
        record = record_at(f, (float)f * 0.37f - 5);
        assert_ms_ok(ms_track_writer_add(w, &record, &err), &err);
        record = (ms_face_record){.frame = f + 1};
        assert_ms_ok(ms_track_writer_add(w, &record, &err), &err); /* no face: no line */
    }
    assert_int_equal(access(path, F_OK), -1); /* not before it is finished */
    assert_ms_ok(ms_track_writer_finish(&w, &err), &err);
    assert_null(w);
    assert_int_equal(access(part, F_OK), -1);
    assert_ms_ok(ms_track_reader_open(NULL, path, &r, &err), &err);
    for (int f = 0; f < 300; f += 3) {
        record = record_at(f, (float)f * 0.37f - 5);
        assert_ms_ok(ms_track_reader_next(r, &got, &more, &err), &err);
        assert_true(more && got.present && got.frame == f);
        assert_memory_equal(got.box, record.box, sizeof(got.box));
        assert_memory_equal(got.landmarks, record.landmarks, sizeof(got.landmarks));
    }
    assert_ms_ok(ms_track_reader_next(r, &got, &more, &err), &err);
    assert_false(more);
    ms_track_reader_close(&r);
    unlink(path);
    assert_ms_ok(ms_track_writer_create(NULL, path, true, &w, &err), &err);
    ms_track_writer_abort(&w);
    assert_null(w);
    assert_int_equal(access(path, F_OK), -1);
    assert_int_equal(access(part, F_OK), -1);
    assert_int_equal(ms_track_writer_create(NULL, "/nonexistent/x.jsonl", true, &w, &err), MS_IO);
    assert_int_equal(ms_track_reader_open(NULL, "/nonexistent/x.jsonl", &r, &err), MS_IO);
    assert_non_null(strstr(err.message, "/nonexistent/x.jsonl"));
}

/* The official spelling is kept to the byte. */
static void golden_track_is_reproduced(void **state) {
    (void)state;
    char path[600], line[8192];
    ms_track_reader *r;
    ms_face_record record;
    bool more;
    if (!golden_path(path, sizeof(path), "e2e/track.jsonl"))
        skip();
    FILE *f = fopen(path, "rb");
    assert_ms_ok(ms_track_reader_open(NULL, path, &r, &err), &err);
    int frames = 0;
    while (fgets(line, sizeof(line), f)) {
        ms_buf buf;
        ms_buf_init(&buf, NULL);
        assert_ms_ok(ms_track_reader_next(r, &record, &more, &err), &err);
        assert_true(more);
        ms_track_write_line(&buf, &record);
        assert_false(buf.failed);
        assert_string_equal(buf.data, line);
        ms_buf_free(&buf);
        frames++;
    }
    assert_true(frames >= 42);
    fclose(f);
    ms_track_reader_close(&r);
}

/* One good line, with a frame number and something behind it. */
static size_t good_line(char *text, size_t n, int frame, const char *extra) {
    size_t at = (size_t)snprintf(text, n, "{\"frame\":%d,%s\"landmarks106\":[", frame, extra);
    for (int i = 0; i < MS_LANDMARKS; i++)
        at += (size_t)snprintf(text + at, n - at, "%s[%d,%d.5]", i ? "," : "", i, 2 * i);
    return at + (size_t)snprintf(text + at, n - at, "]}");
}

static ms_status read_text(const char *text, size_t length, int *ret_faces) {
    char path[100];
    ms_track_reader *r;
    ms_face_record record;
    bool more = true;
    ms_status status = MS_OK;
    write_text(temp_path(path, sizeof(path)), text, length);
    assert_ms_ok(ms_track_reader_open(NULL, path, &r, &err), &err);
    for (*ret_faces = 0; status == MS_OK && more; *ret_faces += status == MS_OK && more)
        status = ms_track_reader_next(r, &record, &more, &err);
    ms_track_reader_close(&r);
    unlink(path);
    return status;
}

static void bad_lines_are_named(void **state) {
    (void)state;
    static const char *const bad[] = {
        "{\"frame\":-1}",
        "{\"frame\":1.5}",
        "{\"frame\":\"1\"}",
        "{}",
        "[]",
        "1",
        "nonsense",
        "{\"frame\":1",
        "{\"frame\":7}",
        "{\"frame\":7,\"landmarks106\":[]}",
        "{\"frame\":7,\"landmarks106\":{}}",
        "{\"frame\":99999999999999,\"landmarks106\":[]}",
        "\xff\xfe",
    };
    size_t n = 200000;
    char *text = malloc(n);
    int faces;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        size_t at = good_line(text, n, 0, "");
        at += (size_t)snprintf(text + at, n - at, "\n\n%s\n", bad[i]);
        assert_int_equal(read_text(text, at, &faces), MS_BAD_MEDIA);
        assert_int_equal(faces, 1);
        assert_non_null(strstr(err.message, ".jsonl:3: "));
    }
    static const char *const extras[] = {"\"bbox\":[1,2,3],",        "\"bbox\":[1,2,3,\"4\"],",
                                         "\"bbox\":null,",           "\"bbox\":[1,2,3,1e7],",
                                         "\"mouth_opening\":\"3\",", "\"mouth_opening\":1e7,"};
    for (size_t i = 0; i < sizeof(extras) / sizeof(extras[0]); i++)
        assert_int_equal(read_text(text, good_line(text, n, 0, extras[i]), &faces), MS_BAD_MEDIA);
    size_t at = good_line(text, n, 5, "\"who\":{\"x\":[1]},");
    assert_int_equal(read_text(text, at, &faces), MS_OK); /* no newline at the end, no box, something else */
    assert_int_equal(faces, 1);
    text[at++] = '\r';
    text[at++] = '\n';
    size_t first = at;
    at += good_line(text + at, n - at, 5, "");
    assert_int_equal(read_text(text, at, &faces), MS_BAD_MEDIA); /* the frame again */
    assert_int_equal(faces, 1);
    at = first + good_line(text + first, n - first, 6, "");
    assert_int_equal(read_text(text, at, &faces), MS_OK);
    assert_int_equal(faces, 2);
    assert_int_equal(read_text("", 0, &faces), MS_OK);
    assert_int_equal(faces, 0);
    memset(text, ' ', n);
    assert_int_equal(read_text(text, n, &faces), MS_BAD_MEDIA); /* no line is that long */
    /* Cut anywhere, a line is an error or (past its end) whole. */
    at = good_line(text, n, 0, "");
    for (size_t cut = 1; cut < at; cut += 37)
        assert_int_equal(read_text(text, cut, &faces), MS_BAD_MEDIA);
    free(text);
}

static void openings_are_read(void **state) {
    (void)state;
    char path[100], text[8192];
    ms_track_reader *r;
    ms_face_record record;
    bool more;
    size_t at = good_line(text, sizeof(text), 0, "\"mouth_opening\":5.25,");
    text[at++] = '\n';
    at += good_line(text + at, sizeof(text) - at, 1, "");
    write_text(temp_path(path, sizeof(path)), text, at);
    assert_ms_ok(ms_track_reader_open(NULL, path, &r, &err), &err);
    assert_ms_ok(ms_track_reader_next(r, &record, &more, &err), &err);
    assert_true(more && record.has_mouth_opening && record.mouth_opening == 5.25f);
    assert_ms_ok(ms_track_reader_next(r, &record, &more, &err), &err);
    assert_true(more && !record.has_mouth_opening);
    ms_track_reader_close(&r);
    unlink(path);
}

static void every_allocation_may_fail(void **state) {
    (void)state;
    char path[100];
    size_t n = 8192;
    char *text = malloc(n);
    write_text(temp_path(path, sizeof(path)), text, good_line(text, n, 3, ""));
    free(text);
    bool done = false;
    for (uint64_t fail = 1; !done && fail < 400; fail++) {
        ms_mem *mem;
        ms_track_reader *r = NULL;
        ms_track_writer *w = NULL;
        ms_face_record record;
        bool more = false;
        assert_int_equal(ms_mem_create(0, &mem), MS_OK);
        ms_mem_fail_after(fail, true);
        ms_status status = ms_track_reader_open(mem, path, &r, &err);
        if (status == MS_OK)
            status = ms_track_reader_next(r, &record, &more, &err);
        if (status == MS_OK)
            status = ms_track_writer_create(mem, path, true, &w, &err);
        if (status == MS_OK)
            status = ms_track_writer_add(w, &record, &err);
        ms_mem_fail_after(0, false);
        done = status == MS_OK;
        assert_true(done || status == MS_HOST_MEMORY);
        ms_track_writer_abort(&w);
        ms_track_reader_close(&r);
        assert_int_equal(ms_mem_destroy(&mem), 0);
    }
    assert_true(done);
    unlink(path);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(largest_face_is_followed),
        cmocka_unit_test(faces_by_number),
        cmocka_unit_test(jumps_are_followed),
        cmocka_unit_test(reference_choice),
        cmocka_unit_test(crowds_are_survived),
        cmocka_unit_test(gaps),
        cmocka_unit_test(scenes),
        cmocka_unit_test(files_round_trip),
        cmocka_unit_test(golden_track_is_reproduced),
        cmocka_unit_test(bad_lines_are_named),
        cmocka_unit_test(openings_are_read),
        cmocka_unit_test(every_allocation_may_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
