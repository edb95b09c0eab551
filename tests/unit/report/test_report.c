/* The report's page: well-formed whatever the names in it, with the run's numbers;
   the series of memory over time. */
#include "test.h"

#include <unistd.h>

#include "base/mem.h"
#include "memsafe/run.h"
#include "report/report_plot.h"
#include "system/sampler.h"

/* ---- the series ---- */

static ms_memory_sample sample_at(double seconds, size_t resident) {
    return (ms_memory_sample){.seconds = seconds, .resident_bytes = resident};
}

static void a_series_is_bounded_and_keeps_its_peaks(void **state) {
    (void)state;
    static ms_series s;
    ms_series_init(&s, 0.01);
    size_t peak_at[] = {7, 1234, 77777, 99999};
    for (int i = 0; i < 100000; i++) {
        size_t resident = 1000 + (size_t)(i % 13);
        for (int p = 0; p < 4; p++)
            if (peak_at[p] == (size_t)i)
                resident = 50000 + (size_t)p;
        ms_memory_sample sample = sample_at(i * 0.01, resident);
        sample.ledger_bytes[MS_LEDGER_FRAMES] = (size_t)i;
        ms_series_add(&s, &sample);
        assert_true(s.n >= 1 && s.n <= MS_MEMORY_SAMPLES);
    }
    assert_true(s.n > MS_MEMORY_SAMPLES / 3 && s.interval_s > 3 && s.interval_s < 10);
    int peaks = 0;
    for (int i = 0; i < s.n; i++) {
        assert_true(i == 0 || s.point[i].seconds > s.point[i - 1].seconds);
        peaks += s.point[i].resident_bytes >= 50000;
        /* a real moment, not a mixture of several */
        assert_int_equal(s.point[i].ledger_bytes[MS_LEDGER_FRAMES], lround(s.point[i].seconds / 0.01));
    }
    assert_int_equal(peaks, 4);
    ms_memory_sample late = sample_at(1e9, 1), bad = sample_at(-1, 1);
    ms_series_add(&s, &late); /* after a long sleep */
    assert_true(s.n == 2 && s.point[0].resident_bytes == 50003);
    ms_series_add(&s, &bad);
    bad.seconds = (double)NAN;
    ms_series_add(&s, &bad);
    assert_int_equal(s.n, 2);
}

static void the_sampler_records_this_process(void **state) {
    (void)state;
    static ms_series series;
    ms_sampler *sampler = NULL;
    ms_mem *mem;
    ms_error err;
    assert_int_equal(ms_mem_create(0, &mem), MS_OK);
    ms_mem_fail_after(1, false);
    assert_int_equal(ms_sampler_create(mem, &sampler, &err), MS_HOST_MEMORY);
    ms_mem_fail_after(0, false);
    assert_null(sampler);
    assert_ms_ok(ms_sampler_create(mem, &sampler, &err), &err);
    size_t bytes = (size_t)64 << 20;
    unsigned char *block = ms_mem_alloc(mem, MS_LEDGER_CACHES, bytes);
    assert_non_null(block);
    memset(block, 1, bytes);
    do { /* until the thread has seen it */
        usleep(1000);
        ms_sampler_get(sampler, &series);
    } while (series.n < 3);
    size_t most = 0, charged = 0;
    for (int i = 0; i < series.n; i++) {
        most = series.point[i].resident_bytes > most ? series.point[i].resident_bytes : most;
        size_t caches = series.point[i].ledger_bytes[MS_LEDGER_CACHES];
        charged = caches > charged ? caches : charged;
    }
    assert_true(most >= bytes && charged >= bytes);
    ms_mem_free(block);
    ms_sampler_destroy(&sampler);
    assert_null(sampler);
    assert_int_equal(ms_mem_destroy(&mem), 0);
}

/* ---- text ---- */

static void text_is_escaped_whatever_it_is(void **state) {
    (void)state;
    static const char *const rows[][2] = {
        {"a b", "a b"},
        {"<script>alert(\"x\" & 'y')</script>",
         "&lt;script&gt;alert(&#34;x&#34; &amp; &#39;y&#39;)&lt;/script&gt;"},
        {"tab\there\x1b[31m", "tab\xef\xbf\xbdhere\xef\xbf\xbd[31m"},
        {"\xc3\xa9\xe2\x82\xac", "\xc3\xa9\xe2\x82\xac"},
        {"bad \xff\xc3 end", "bad \xef\xbf\xbd\xef\xbf\xbd end"},
        {"\xef\xbf\xbf.\xef\xbf\xbe", "\xef\xbf\xbd.\xef\xbf\xbd"},
        {"\xc3<", "\xef\xbf\xbd&lt;"},
        {"", ""},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        ms_buf b;
        ms_buf_init(&b, NULL);
        ms_buf_append(&b, "", 0);
        ms_html_text(&b, rows[i][0]);
        assert_string_equal(b.data, rows[i][1]);
        ms_buf_free(&b);
    }
}

/* ---- well-formed XML ---- */

#define MAX_DEPTH 32

typedef struct reader {
    const char *at;
    char open[MAX_DEPTH][32];
    int depth, elements;
} reader;

static void bad(const reader *r, const char *what) {
    fail_msg("%s at: %.60s", what, r->at);
}

static void check_entity(const reader *r) {
    static const char *const known[] = {"&amp;", "&lt;", "&gt;"};
    for (int i = 0; i < 3; i++)
        if (strncmp(r->at, known[i], strlen(known[i])) == 0)
            return;
    if (r->at[1] == '#' && strspn(r->at + 2, "0123456789") > 0 &&
        r->at[2 + strspn(r->at + 2, "0123456789")] == ';')
        return;
    bad(r, "an entity");
}

/* Attributes up to the end of the tag; true when it closes itself. */
static bool read_attributes(reader *r) {
    for (;;) {
        r->at += strspn(r->at, " \n");
        if (*r->at == '>' || strncmp(r->at, "/>", 2) == 0)
            break;
        size_t name = strspn(r->at, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-:");
        if (!name || r->at[name] != '=')
            bad(r, "an attribute");
        r->at += name + 1;
        char quote = *r->at++;
        if (quote != '\'' && quote != '"')
            bad(r, "a quote");
        for (; *r->at != quote; r->at++) {
            if (*r->at == '<' || !*r->at)
                bad(r, "an attribute's value");
            if (*r->at == '&')
                check_entity(r);
        }
        r->at++;
    }
    bool closed = *r->at == '/';
    r->at += closed ? 2 : 1;
    return closed;
}

static void read_tag(reader *r) {
    bool end = r->at[1] == '/';
    r->at += end ? 2 : 1;
    size_t name = strspn(r->at, "abcdefghijklmnopqrstuvwxyz0123456789");
    if (!name || name >= 32)
        bad(r, "a tag");
    if (end) {
        if (!r->depth || strncmp(r->open[r->depth - 1], r->at, name) != 0 || r->open[r->depth - 1][name])
            bad(r, "an end tag");
        r->depth--;
        r->at += name;
        if (*r->at++ != '>')
            bad(r, "an end tag");
        return;
    }
    if (r->depth == MAX_DEPTH)
        bad(r, "too deep");
    snprintf(r->open[r->depth++], 32, "%.*s", (int)name, r->at);
    r->at += name;
    r->elements++;
    if (read_attributes(r))
        r->depth--;
}

static void assert_well_formed(const char *html) {
    reader r = {.at = html};
    static const char doctype[] = "<!DOCTYPE html>\n";
    assert_memory_equal(r.at, doctype, strlen(doctype));
    r.at += strlen(doctype);
    while (*r.at) {
        if (*r.at == '<')
            read_tag(&r);
        else if (*r.at == '&')
            check_entity(&r), r.at++;
        else if ((unsigned char)*r.at < 0x20 && *r.at != '\n')
            bad(&r, "a control character");
        else
            r.at++;
    }
    assert_int_equal(r.depth, 0);
    assert_true(r.elements > 60);
}

/* ---- the page ---- */

static ms_run_report *make_report(void) {
    ms_run_report *r = calloc(1, sizeof(*r));
    assert_non_null(r);
    r->frames = 250;
    r->frames_without_face = 13;
    r->range_first = 1500;
    r->frames_kept = 77;
    r->whole_frames = 9000;
    r->whole_s = 3 * 3600 + 21 * 60;
    r->frames_interpolated = 7;
    r->windows = 16;
    r->video_frames = 250;
    r->source_frames_lost = 2;
    r->width = 1280;
    r->height = 720;
    r->resolution = 256;
    r->fps = 25;
    strcpy(r->precision, "float16");
    strcpy(r->video_codec, "h264");
    r->n_model_files = 1;
    r->model_file[0] = (ms_run_model_file){"UNet", "models/a<b>.pt", "17 bytes, 0123"};
    strcpy(r->tier, "standard");
    strcpy(r->tier_reason, "the host has 15.6 <GiB>");
    strcpy(r->budget_reason, "as asked for");
    r->rung = MS_RUNG_STREAM_PART;
    r->budget_bytes = 839000000;
    r->planned_bytes = 812000000;
    r->peak_resident_bytes = 772000000;
    r->weight_bytes = 2560000000;
    r->streamed_bytes = r->planned_streamed_bytes = 2432000000;
    r->vae_decode_batch = 1;
    r->window_frames = 16;
    r->serial_branches = true;
    r->n_choices = 2;
    r->choice[0] = (ms_run_choice){.rung = MS_RUNG_STREAM_PART,
                                   .vae_batch = 4,
                                   .peak_bytes = 900000000,
                                   .whole_bytes = 3472000000,
                                   .window_s = 1.5};
    r->choice[1] = (ms_run_choice){.rung = MS_RUNG_STREAM_PART,
                                   .vae_batch = 1,
                                   .peak_bytes = 812000000,
                                   .whole_bytes = 3000000000,
                                   .window_s = 2.5,
                                   .slice_frames = 4,
                                   .slice_pixels = 256,
                                   .fits = true,
                                   .taken = true};
    r->n_changes = 1;
    r->change[0] = (ms_run_change){.frame = 48, .seconds = 9.5, .rung = MS_RUNG_SINGLE_FRAME};
    strcpy(r->change[0].level, "high");
    strcpy(r->change[0].reason, "the host has 4.1 % <free> & falling");
    r->n_samples = MS_MEMORY_SAMPLES;
    for (int i = 0; i < MS_MEMORY_SAMPLES; i++) {
        r->sample[i] = sample_at(0.25 * i, 500000000 + (size_t)i * 1000000);
        for (int l = 0; l < MS_LEDGER_COUNT; l++)
            r->sample[i].ledger_bytes[l] = (size_t)(l + 1) * 20000000;
    }
    for (int l = 0; l < MS_LEDGER_COUNT; l++)
        r->ledger_peak_bytes[l] = (size_t)(l + 1) * 20000000;
    r->seconds = 64;
    r->stage_s[MS_STAGE_LOAD] = 2;
    r->stage_s[MS_STAGE_DENOISE] = 48.25;
    r->stage_s[MS_STAGE_DECODE] = 8;
    r->planned_window_s = 2.5;
    return r;
}

static char *make_page(const ms_run_params *p, const ms_run_report *r) {
    ms_error err;
    char *html = NULL;
    assert_ms_ok(ms_run_report_html(p, r, &html, &err), &err);
    assert_well_formed(html);
    return html;
}

static void the_page_has_the_answers(void **state) {
    (void)state;
    ms_run_params p;
    ms_run_params_init(&p);
    p.video = "</p><script>'\"&.mp4";
    p.audio = "speech\xff.wav";
    p.output = "a & b <c>.mp4";
    ms_run_report *r = make_report();
    char *html = make_page(&p, r);
    static const char *const wanted[] = {
        "<h1>a &amp; b &lt;c&gt;.mp4</h1>",
        "250 frames of 1280x720 at 25 a second in 1 min 4 s; 13 without a face",
        "from frame 1500 of the video on; 77 frames outside it passed through unchanged",
        "the whole, 9000 frames, would take about 3 h 21 min",
        "Rung stream-part, float16",
        "Windows of 16 frames, 1 picture at a time through the VAE, both branches of guidance one after the "
        "other, "
        "layers whole, 95 % of the weights read when they are needed.",
        "Standard tier, 800 MiB",
        "the host has 15.6 &lt;GiB&gt;. The budget is as asked for. The precision is the tier's.",
        "1 of the 2 layouts that were compared fits it, and this one was predicted to be the fastest. Uncut "
        "it would "
        "take 3.23 GiB.",
        "92 % of it",
        "The process held 736 MiB at most, of a budget of 800 MiB. The plan had said 774 MiB: the run stayed "
        "38.1 "
        "MiB below",
        "denoise, 83 %",
        "<dt>UNet</dt><dd>models/a&lt;b&gt;.pt (17 bytes, 0123)</dd>",
        "<dt>encoder</dt><dd>h264</dd>",
        "<dd>memsafe ",
        "It changed 1 time on the way",
        "<td>9.5 s</td><td>48</td><td>high</td><td>single-frame</td><td class='text'>the host has 4.1 % "
        "&lt;free&gt; "
        "&amp; falling</td>",
        ("stream-part (taken)</td><td>1</td><td>4 frames or 256 pixels</td><td>2.79 GiB</td><td>774 "
         "MiB</td><td>2.5 s</td>"),
        "<td>48 s</td>",
        "63.75 s: resident 720 MiB, weights 19.1 MiB, activations 38.1 MiB",
        "&lt;/p&gt;&lt;script&gt;&#39;&#34;&amp;.mp4",
        "2 more are damaged or not there",
        "program and buffers <b>153 MiB</b>",
    };
    for (size_t i = 0; i < sizeof(wanted) / sizeof(*wanted); i++)
        if (!strstr(html, wanted[i]))
            fail_msg("the page lacks: %s", wanted[i]);
    assert_null(strstr(html, "<script"));
    assert_null(strstr(html, "src="));
    assert_null(strstr(html, "href"));
    assert_null(strstr(html, "nan"));
    assert_null(strstr(html, "url("));
    assert_true(strlen(html) < 200000);
    ms_mem_free(html);
    free(r);
}

/* Beside a device with memory of its own each is held to its own budget. */
static void a_device_apart_has_its_own_budget(void **state) {
    (void)state;
    ms_run_params p;
    ms_run_params_init(&p);
    ms_run_report *r = make_report();
    r->peak_resident_bytes = (size_t)900 << 20;
    r->host_planned_bytes = (size_t)950 << 20;
    r->host_budget_bytes = (size_t)1000 << 20;
    r->device_peak_bytes = (size_t)600 << 20;
    char *html = make_page(&p, r);
    assert_non_null(strstr(html, "The device held 600 MiB at most, of a budget of 800 MiB."));
    assert_non_null(
        strstr(html, "The process held 900 MiB at most, of a budget of 1000 MiB. The plan had said 950 MiB"));
    assert_non_null(strstr(html, "budget <b>1000 MiB</b>"));
    assert_null(strstr(html, "over the budget"));
    ms_mem_free(html);
    free(r);
}

/* Numbers at their edges: the page has no NaN and no division by nothing. */
static void an_empty_report_is_a_page_too(void **state) {
    (void)state;
    ms_run_params p;
    ms_run_params_init(&p);
    ms_run_report *r = calloc(1, sizeof(*r));
    assert_non_null(r);
    char *html = make_page(&p, r);
    assert_null(strstr(html, "nan"));
    assert_null(strstr(html, "inf%"));
    assert_null(strstr(html, "Memory over time"));
    assert_non_null(strstr(html, "nobody else needed the memory"));
    ms_mem_free(html);
    r->n_samples = 2; /* at the same moment, nothing held */
    html = make_page(&p, r);
    assert_null(strstr(html, "nan"));
    assert_non_null(strstr(html, "Memory over time"));
    ms_mem_free(html);
    r->peak_resident_bytes = 12000000;
    r->budget_bytes = 10000000;
    r->slice_frames = 4;
    r->slice_pixels = 256;
    r->stripe_rows = 64;
    p.rung = MS_RUNG_SLICES;
    p.precision = MS_PRECISION_FP32;
    html = make_page(&p, r);
    assert_non_null(strstr(html, "120 % &#8211; over the budget"));
    assert_non_null(strstr(html, "class='meter over'"));
    assert_non_null(strstr(html, "through the VAE in stripes of 64 rows, "));
    assert_non_null(strstr(html, "layers over 4 frames or 256 pixels at a time"));
    assert_non_null(strstr(html, "The rung was asked for"));
    assert_non_null(strstr(html, "The precision was asked for"));
    ms_mem_free(html);
    free(r);
}

static void every_allocation_may_fail(void **state) {
    (void)state;
    ms_run_params p;
    ms_run_params_init(&p);
    ms_run_report *r = make_report();
    ms_error err;
    for (uint64_t n = 1;; n++) {
        char *html = NULL;
        ms_mem_fail_after(n, false);
        ms_status status = ms_run_report_html(&p, r, &html, &err);
        ms_mem_fail_after(0, false);
        assert_true((html != NULL) == (status == MS_OK));
        ms_mem_free(html);
        if (status == MS_OK) {
            assert_true(n > 5);
            break;
        }
        assert_int_equal(status, MS_HOST_MEMORY);
    }
    free(r);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_series_is_bounded_and_keeps_its_peaks),
        cmocka_unit_test(the_sampler_records_this_process),
        cmocka_unit_test(text_is_escaped_whatever_it_is),
        cmocka_unit_test(the_page_has_the_answers),
        cmocka_unit_test(a_device_apart_has_its_own_budget),
        cmocka_unit_test(an_empty_report_is_a_page_too),
        cmocka_unit_test(every_allocation_may_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
