/* Runs are simulated, with three threads and their queues as a run has them, and
   what is said of the time left is held against what it then was. */
#include "test.h"

#include <math.h>

#include "predict/eta.h"

#define READY 8
#define REDRAWN 4
#define WINDOW 16
#define MOST_FRAMES 2000
#define MOST_SAMPLES 20000

typedef struct costs {
    /* seconds: of all weights, of a segment, then of a frame */
    double load, segment, face, encode, step, decode, write;
} costs;

/* Three hours of 1.5 on two cores. */
static const costs full_size = {
    .load = 15, .segment = 0.4, .face = 0.1, .encode = 2, .step = 3.6, .decode = 2, .write = 0.05};

typedef struct shape {
    costs said, real;
    int frames, earlier, steps;
    int kept;      /* of frames, the first whose faces an earlier run had redrawn */
    double cached; /* cost of a cached step of DeepCache, in full ones; 0 = none */
    double noise;  /* of every duration, +- this part */
    bool (*faceless)(int frame);
    bool unknown_length;
} shape;

typedef struct simulation {
    const shape *s;
    ms_eta eta;
    double now, tick;
    uint32_t random;
    double ready[MOST_FRAMES], taken[MOST_FRAMES], written[MOST_FRAMES];
    int delivered;
    int n_samples;
    double at[MOST_SAMPLES], left[MOST_SAMPLES], fraction[MOST_SAMPLES];
} simulation;

static double noisy(simulation *m, double seconds) {
    m->random = m->random * 1664525 + 1013904223;
    return seconds * (1 + m->s->noise * (2 * (double)(m->random >> 8) / 0x1p24 - 1));
}

/* Time passes, and somebody looks now and then. */
static void until(simulation *m, double time) {
    while (m->now < time) {
        m->now = fmin(m->now + m->tick, time);
        if (m->n_samples > 0 && m->now - m->at[m->n_samples - 1] < 0.9 * m->tick)
            continue;
        ms_eta_value v = ms_eta_get(&m->eta, m->now);
        assert_true(m->n_samples < MOST_SAMPLES);
        m->at[m->n_samples] = m->now;
        m->left[m->n_samples] = v.left_s;
        m->fraction[m->n_samples++] = v.fraction;
    }
}

static void take(simulation *m, int i, bool first_window) {
    double free_s = i > READY ? m->taken[i - READY - 1] : 0, before = i ? m->ready[i - 1] : m->now;
    m->ready[i] = fmax(before, free_s) + noisy(m, m->s->real.face);
    ms_eta_enter(&m->eta, first_window ? MS_ETA_LEAD : MS_ETA_FACES, 1, m->now);
    until(m, m->ready[i]);
    ms_eta_advance(&m->eta, 1, 1, m->now);
    ms_eta_frame(&m->eta, !(m->s->faceless && m->s->faceless(i)));
    m->taken[i] = m->now;
}

static void deliver(simulation *m) {
    int i = m->delivered++;
    ms_eta_enter(&m->eta, MS_ETA_WRITE, 1, m->now);
    if (i > REDRAWN)
        until(m, m->written[i - REDRAWN - 1]);
    ms_eta_advance(&m->eta, 1, 1, m->now);
    m->written[i] = fmax(i ? m->written[i - 1] : 0, m->now) + noisy(m, m->s->real.write);
}

static double step_weight(const shape *s, int step) {
    return s->cached > 0 && step % 3 ? s->cached : 1;
}

static void window(simulation *m, int frames, int first) {
    const shape *s = m->s;
    if (frames == 0)
        return;
    if (first < s->kept) {
        for (int i = 0; i < frames; i++)
            deliver(m);
        ms_eta_keep(&m->eta, frames);
        return;
    }
    if (first / 750 != (first + frames) / 750 || first == 0) {
        ms_eta_enter(&m->eta, MS_ETA_AUDIO, 1, m->now);
        until(m, m->now + noisy(m, s->real.segment));
        ms_eta_advance(&m->eta, 1, 1, m->now);
    }
    ms_eta_enter(&m->eta, MS_ETA_ENCODE, frames < 4 ? frames : 4, m->now);
    for (int i = 0; i < frames; i += 4) {
        int batch = frames - i < 4 ? frames - i : 4;
        until(m, m->now + noisy(m, batch * s->real.encode));
        ms_eta_advance(&m->eta, batch, 4, m->now);
    }
    ms_eta_enter(&m->eta, MS_ETA_DENOISE, frames, m->now);
    for (int i = 0; i < s->steps; i++) {
        until(m, m->now + noisy(m, frames * s->real.step * step_weight(s, i)));
        ms_eta_advance(&m->eta, frames * step_weight(s, i), frames * step_weight(s, i + 1), m->now);
    }
    for (int i = 0; i < frames; i++) {
        ms_eta_enter(&m->eta, MS_ETA_DECODE, 1, m->now);
        until(m, m->now + noisy(m, s->real.decode));
        ms_eta_advance(&m->eta, 1, 1, m->now);
        deliver(m);
    }
}

static void all_frames(simulation *m) {
    int collected = 0;
    bool began = false;
    for (int i = 0; i < m->s->frames; i++) {
        take(m, i, !began);
        bool face = !(m->s->faceless && m->s->faceless(i));
        if (collected == WINDOW || !face) {
            began |= collected > 0 && i - collected >= m->s->kept;
            window(m, collected, i - collected);
            collected = 0;
        }
        if (face)
            collected++;
        else
            deliver(m);
    }
    window(m, collected, m->s->frames - collected);
}

static void simulate(simulation *m, const shape *s) {
    double weights = 0;
    for (int i = 0; i < s->steps; i++)
        weights += step_weight(s, i);
    ms_eta_plan plan = {.frames = s->unknown_length ? 0 : s->frames,
                        .earlier_frames = s->earlier,
                        .window_frames = WINDOW,
                        .steps = weights,
                        .segments = ceil(s->frames / 750.0)};
    const double stages[MS_STAGE_COUNT] = {[MS_STAGE_LOAD] = s->said.load,
                                           [MS_STAGE_AUDIO] = s->said.segment * plan.segments,
                                           [MS_STAGE_FACES] = s->said.face * s->frames,
                                           [MS_STAGE_ENCODE] = s->said.encode * s->frames,
                                           [MS_STAGE_DENOISE] = s->said.step * weights * s->frames,
                                           [MS_STAGE_DECODE] = s->said.decode * s->frames,
                                           [MS_STAGE_WRITE] = s->said.write * s->frames};
    double sum = 0;
    for (int i = 0; i < MS_STAGE_COUNT; i++)
        sum += stages[i];
    *m = (simulation){.s = s, .tick = sum / 4000, .random = 7};
    ms_eta_set_predictions(&plan, stages, READY, 2 * REDRAWN);
    ms_eta_begin(&m->eta, &plan);
    ms_eta_enter(&m->eta, MS_ETA_LOAD, 0.02, 0);
    for (int i = 0; i < 50; i++) {
        until(m, m->now + s->real.load / 50);
        ms_eta_advance(&m->eta, 0.02, 0.02, m->now);
    }
    all_frames(m);
    ms_eta_enter(&m->eta, MS_ETA_TAIL, 1, m->now);
    until(m, m->written[s->frames - 1]);
}

/* The most that what was said was off from `since` of the run on, in parts of what
   was left then; and the most that it rose, in parts of the whole run. Two
   hundredths of the run is forgiven: at the end what is left is less than that. */
typedef struct faults {
    double off, rise;
} faults;

static faults judge(const simulation *m, double since) {
    faults f = {0, 0};
    double least = INFINITY, all = m->now;
    for (int i = 0; i < m->n_samples; i++) {
        double left = all - m->at[i];
        if (m->at[i] < since * all)
            continue;
        f.off = fmax(f.off, (fabs(m->left[i] - left) - 0.02 * all) / fmax(left, 0.02 * all));
        f.rise = fmax(f.rise, (m->left[i] - least) / all);
        least = fmin(least, m->left[i]);
    }
    for (int i = 1; i < m->n_samples; i++)
        assert_true(m->fraction[i] >= m->fraction[i - 1]);
    return f;
}

static simulation sim; /* too large for a stack */

static void expect(const char *what, const shape *s, double since, double off, double rise) {
    simulate(&sim, s);
    faults f = judge(&sim, since);
    print_message("    %-44s %7.0f s, off by %4.1f %%, rises by %4.1f %%\n", what, sim.now, 100 * f.off,
                  100 * f.rise);
    if (f.off > off)
        fail_msg("%s: off by %.1f %%", what, 100 * f.off);
    if (f.rise > rise)
        fail_msg("%s: rises by %.1f %%", what, 100 * f.rise);
}

static shape shape_of(costs said, int frames) {
    return (shape){.said = said, .real = full_size, .frames = frames, .steps = 20};
}

static costs scaled(costs c, double by) {
    return (costs){c.load,      by * c.segment, by * c.face, by * c.encode,
                   by * c.step, by * c.decode,  by * c.write};
}

static void a_right_prediction_is_right_from_the_start(void **state) {
    (void)state;
    static const int lengths[] = {1, 5, 16, 17, 40, 160, 1000};
    for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
        shape s = shape_of(full_size, lengths[i]);
        char what[64];
        snprintf(what, sizeof(what), "as predicted, %d frames", lengths[i]);
        expect(what, &s, 0, 0.1, 0.01);
    }
}

/* It moves while the first window is denoised: that is where a run of one window spends its time. */
static void it_moves_within_the_first_window(void **state) {
    (void)state;
    shape s = shape_of(full_size, 16);
    simulate(&sim, &s);
    for (int i = 0; i < sim.n_samples; i++)
        assert_true(fabs(sim.fraction[i] - sim.at[i] / sim.now) < 0.02);
}

/* A machine that is three times as slow as was thought, loading included, is no further for that. */
static void a_slow_machine_is_not_ahead(void **state) {
    (void)state;
    shape s = shape_of(scaled(full_size, 1.0 / 3), 48);
    s.said.load = full_size.load / 3;
    simulate(&sim, &s);
    for (int i = 0; i < sim.n_samples; i++)
        assert_true(fabs(sim.fraction[i] - sim.at[i] / sim.now) < 0.03);
}

static void loading_may_be_slow(void **state) {
    (void)state;
    shape s = shape_of(full_size, 160);
    s.real.load = 10 * full_size.load;
    expect("loading ten times as slow", &s, 0.1, 0.1, 0.03);
    s = shape_of(full_size, 16);
    s.real.load = 10 * full_size.load;
    expect("likewise, one window", &s, 0.1, 0.2, 0.05);
}

static void a_wrong_prediction_is_corrected_within_a_tenth(void **state) {
    (void)state;
    static const double wrong[] = {3, 2, 0.5, 1.0 / 3};
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        static const int lengths[] = {16, 48, 160};
        for (size_t k = 0; k < sizeof(lengths) / sizeof(lengths[0]); k++) {
            shape s = shape_of(scaled(full_size, wrong[i]), lengths[k]);
            char what[64];
            snprintf(what, sizeof(what), "said %.2f of it, %d frames", wrong[i], lengths[k]);
            expect(what, &s, 0.1, 0.2, 0.03);
        }
    }
}

static void stages_may_be_wrong_each_its_own_way(void **state) {
    (void)state;
    shape s = shape_of(full_size, 320);
    s.real.encode *= 3;
    s.real.decode *= 3;
    s.real.step *= 0.7;
    expect("networks wrong each its own way", &s, 0.1, 0.2, 0.03);
    s = shape_of(full_size, 48);
    s.real.decode *= 3; /* seen only when the first window ends */
    expect("decoding three times as slow, 3 windows", &s, 0.1, 0.2, 0.06);
    s = shape_of(full_size, 320);
    s.real.face = 20 * s.real.face;
    expect("faces twenty times as slow", &s, 0.1, 0.2, 0.03);
}

static void noise_does_not_shake_it(void **state) {
    (void)state;
    shape s = shape_of(full_size, 160);
    s.noise = 0.3;
    expect("30 % of noise", &s, 0.1, 0.1, 0.03);
    s = shape_of(scaled(full_size, 0.5), 48);
    s.noise = 0.3;
    expect("30 % of noise, half of it said, 3 windows", &s, 0.1, 0.2, 0.04);
}

static void threads_beside_may_be_what_takes_long(void **state) {
    (void)state;
    costs small = {.load = 0.5,
                   .segment = 0.1,
                   .face = 0.1,
                   .encode = 0.01,
                   .step = 0.002,
                   .decode = 0.01,
                   .write = 0.01};
    shape s = {.said = small, .real = small, .frames = 200, .steps = 20};
    expect("finding faces takes longest", &s, 0.1, 0.2, 0.05);
    s.said.face = small.face / 4;
    expect("likewise, not predicted", &s, 0.1, 0.2, 0.05);
    s = (shape){.said = small, .real = small, .frames = 300, .steps = 20};
    s.said.write = s.real.write = 0.3;
    expect("writing takes longest", &s, 0.1, 0.2, 0.03);
    s.said.write = 0.1;
    expect("likewise, not predicted", &s, 0.12, 0.2, 0.08);
}

static void deepcache_has_long_and_short_steps(void **state) {
    (void)state;
    for (int frames = 16; frames <= 160; frames *= 10) {
        shape s = shape_of(full_size, frames);
        s.cached = 0.3;
        expect("DeepCache", &s, 0, 0.1, 0.01);
    }
}

static bool every_other_ten(int frame) {
    return frame / 10 % 2 == 1;
}

static bool a_beginning(int frame) {
    return frame < 60;
}

static bool a_middle(int frame) {
    return frame >= 100 && frame < 120;
}

static void frames_without_a_face_take_no_time(void **state) {
    (void)state;
    shape s = shape_of(full_size, 800);
    s.faceless = every_other_ten;
    expect("every other ten frames without a face", &s, 0.1, 0.2, 0.03);
    s.faceless = a_beginning;
    expect("the first 60 frames without a face", &s, 0.1, 0.1, 0.03);
    s.faceless = a_middle;
    expect("20 frames in the middle without a face", &s, 0.1, 0.1, 0.03);
}

static void an_earlier_run_counts(void **state) {
    (void)state;
    shape s = shape_of(full_size, 160);
    s.earlier = 480;
    expect("resumed at three quarters", &s, 0, 0.1, 0.01);
    assert_true(sim.fraction[0] > 0.73 && sim.fraction[0] < 0.76);
}

/* Windows that are taken over take no time, and say nothing of those that are computed. */
static void kept_windows_take_no_time(void **state) {
    (void)state;
    shape s = shape_of(full_size, 160);
    s.kept = 48;
    expect("48 of 160 frames taken over", &s, 0.05, 0.1, 0.03);
    s = shape_of(scaled(full_size, 0.5), 160);
    s.kept = 48;
    expect("likewise, half of it said", &s, 0.1, 0.2, 0.03);
}

static void what_is_not_known_is_not_said(void **state) {
    (void)state;
    shape s = shape_of(full_size, 100);
    s.unknown_length = true;
    simulate(&sim, &s);
    for (int i = 0; i < sim.n_samples; i++)
        assert_true(sim.left[i] == -1 && sim.fraction[i] == -1);
}

/* Another layout after a third: what was measured says what it will be there too. */
static void another_layout_is_taken_into_account(void **state) {
    (void)state;
    ms_eta eta;
    ms_eta_plan plan = {.frames = 160, .window_frames = 16, .steps = 20, .segments = 1};
    plan.unit_s[MS_ETA_DENOISE] = 1;
    ms_eta_begin(&eta, &plan);
    ms_eta_enter(&eta, MS_ETA_DENOISE, 16, 0);
    for (int i = 1; i <= 60; i++) {
        ms_eta_frame(&eta, true);
        ms_eta_advance(&eta, 16, 16, 32 * i); /* twice as slow as predicted */
    }
    double before = ms_eta_get(&eta, 60 * 32).left_s;
    double slower[MS_ETA_PARTS] = {0};
    slower[MS_ETA_DENOISE] = 3;
    ms_eta_set_costs(&eta, slower);
    eta.shown_end_s = 0;
    double after = ms_eta_get(&eta, 60 * 32).left_s;
    assert_true(fabs(after / before - 3) < 0.05);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_right_prediction_is_right_from_the_start),
        cmocka_unit_test(it_moves_within_the_first_window),
        cmocka_unit_test(a_slow_machine_is_not_ahead),
        cmocka_unit_test(loading_may_be_slow),
        cmocka_unit_test(a_wrong_prediction_is_corrected_within_a_tenth),
        cmocka_unit_test(stages_may_be_wrong_each_its_own_way),
        cmocka_unit_test(noise_does_not_shake_it),
        cmocka_unit_test(threads_beside_may_be_what_takes_long),
        cmocka_unit_test(deepcache_has_long_and_short_steps),
        cmocka_unit_test(frames_without_a_face_take_no_time),
        cmocka_unit_test(an_earlier_run_counts),
        cmocka_unit_test(kept_windows_take_no_time),
        cmocka_unit_test(what_is_not_known_is_not_said),
        cmocka_unit_test(another_layout_is_taken_into_account),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
