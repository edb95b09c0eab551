/* Pressure levels: one sample judged, and how levels follow one another. */
#include "test.h"

#include "system/pressure.h"

#define GIB ((int64_t)1 << 30)
#define U MS_PRESSURE_UNKNOWN
#define NO_LIMIT MS_PRESSURE_NO_LIMIT

static ms_error err;

static ms_pressure_sample unknown(void) {
    ms_pressure_sample s;
    ms_pressure_sample_init(&s);
    return s;
}

static ms_pressure_level judge(ms_pressure_sample s, const ms_pressure_sample *previous, char *ret_reason) {
    ms_pressure_thresholds t;
    ms_pressure_level level = MS_PRESSURE_LEVELS, silent;
    ms_pressure_thresholds_init(&t);
    ms_pressure_judge(&s, previous, &t, &level, ret_reason);
    ms_pressure_judge(&s, previous, &t, &silent, NULL);
    assert_int_equal(level, silent);
    return level;
}

/* The defaults that docs/pressure.md quotes. */
static void documented_thresholds(void **state) {
    (void)state;
    ms_pressure_thresholds t;
    ms_pressure_thresholds_init(&t);
    const double share[] = {0.08, 0.05, 0.025}, some[] = {5, 20, 60}, full[] = {2, 10, 40};
    for (int i = 0; i < 3; i++)
        assert_true(t.share[i] == share[i] && t.psi_some[i] == some[i] && t.psi_full[i] == full[i]);
    assert_true(t.share_of_bytes == 64 * GIB && t.event_share == 0.2 && t.hold_s == 5);
    assert_true(t.margin_share == 0.05 && t.margin_psi == 0.5);
    assert_ms_ok(ms_pressure_thresholds_check(&t, &err), &err);
    assert_string_equal(ms_pressure_name(MS_PRESSURE_CRITICAL), "critical");
    ms_pressure_level level = MS_PRESSURE_LOW;
    assert_true(ms_pressure_from_name("none", &level) && level == MS_PRESSURE_NONE);
    assert_false(ms_pressure_from_name("None", &level));
}

static void thresholds_out_of_order_are_refused(void **state) {
    (void)state;
    ms_pressure_thresholds good, t;
    ms_pressure_thresholds_init(&good);
    double *const numbers[] = {&t.share[0],    &t.share[2],     &t.psi_some[0], &t.psi_full[2],
                               &t.event_share, &t.margin_share, &t.margin_psi,  &t.hold_s};
    for (size_t i = 0; i < sizeof(numbers) / sizeof(*numbers); i++) {
        const double bad[] = {NAN, -1, -INFINITY};
        for (int k = 0; k < 3; k++) {
            t = good;
            *numbers[i] = bad[k];
            assert_int_equal(ms_pressure_thresholds_check(&t, &err), MS_INVALID_ARGUMENT);
            assert_true(strncmp(err.message, "pressure: ", 10) == 0);
        }
    }
    t = good;
    t.share[1] = 0.09;
    assert_int_equal(ms_pressure_thresholds_check(&t, &err), MS_INVALID_ARGUMENT);
    assert_non_null(strstr(err.message, "the share for high must be in 0 to 0.08, not 0.09"));
    t = good;
    t.psi_full[1] = 1;
    assert_int_equal(ms_pressure_thresholds_check(&t, &err), MS_INVALID_ARGUMENT);
    assert_non_null(strstr(err.message, "PSI full for high"));
    t = good;
    t.share_of_bytes = 0;
    assert_int_equal(ms_pressure_thresholds_check(&t, &err), MS_INVALID_ARGUMENT);
}

static void shares_of_memory(void **state) {
    (void)state;
    static const struct {
        int64_t total, available; /* MiB */
        ms_pressure_level level;
    } rows[] = {
        {10000, 10000, MS_PRESSURE_NONE},
        {10000, 800, MS_PRESSURE_NONE}, /* at a threshold is not below it */
        {10000, 799, MS_PRESSURE_LOW},
        {10000, 500, MS_PRESSURE_LOW},
        {10000, 499, MS_PRESSURE_HIGH},
        {10000, 250, MS_PRESSURE_HIGH},
        {10000, 249, MS_PRESSURE_CRITICAL},
        {10000, 0, MS_PRESSURE_CRITICAL},
        {1 << 20, 5300, MS_PRESSURE_NONE}, /* 0.5 % of a terabyte, 8.1 % of 64 GiB */
        {1 << 20, 5200, MS_PRESSURE_LOW},
        {1 << 20, 1600, MS_PRESSURE_CRITICAL},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        char reason[MS_PRESSURE_REASON_BYTES];
        ms_pressure_sample host = unknown(), device = unknown(), group = unknown();
        host.host_total = rows[i].total << 20;
        host.host_available = rows[i].available << 20;
        device.device_total = rows[i].total << 20;
        device.device_free = rows[i].available << 20;
        group.cgroup_max = NO_LIMIT;
        group.cgroup_high = rows[i].total << 20;
        group.cgroup_current = (rows[i].total - rows[i].available) << 20;
        assert_int_equal(judge(host, NULL, reason), rows[i].level);
        assert_true(rows[i].level ? !strncmp(reason, "host memory: ", 13)
                                  : !strcmp(reason, "enough free memory"));
        assert_int_equal(judge(device, NULL, reason), rows[i].level);
        assert_true(!rows[i].level || !strncmp(reason, "device memory: ", 15));
        assert_int_equal(judge(group, NULL, reason), rows[i].level);
        assert_true(!rows[i].level || !strncmp(reason, "cgroup memory: ", 15));
    }
    char reason[MS_PRESSURE_REASON_BYTES];
    ms_pressure_sample s = unknown();
    s.host_total = 10 * GIB;
    s.host_available = GIB / 4;
    assert_int_equal(judge(s, NULL, reason), MS_PRESSURE_HIGH);
    assert_string_equal(reason, "host memory: 0.25 of 10.00 GiB free, below 0.50");
    s.host_total = 96 << 20;
    s.host_available = 3 << 20;
    assert_int_equal(judge(s, NULL, reason), MS_PRESSURE_HIGH);
    assert_string_equal(reason, "host memory: 3.00 of 96.00 MiB free, below 4.80");
}

static void limits_of_a_cgroup(void **state) {
    (void)state;
    static const struct {
        int64_t current, cache, max, high, limit, left;
    } rows
        [] =
            {
                {60, 0, 100, NO_LIMIT, 100, 40},
                {60, 0, 100, 80, 80, 20},
                {60, 0, 100, 200, 100, 40},
                {60, 50, 100, 80, 80, 70}, /* cache that is dropped without pain is as good as free */
                {60, U, 100, U, 100, 40},
                {60, 70, 100, U, 100, 100}, /* the two are read at different moments */
                {120, 0, 100, U, 100, 0},
                {60, 0, NO_LIMIT, NO_LIMIT, U, U},
                {60, 0, U, U, U, U},
                {U, U, 100, 80, 80, U},
                {0, 0, 0, NO_LIMIT, 0, 0},
            };
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        ms_pressure_sample s = unknown();
        s.cgroup_current = rows[i].current;
        s.cgroup_cache = rows[i].cache;
        s.cgroup_max = rows[i].max;
        s.cgroup_high = rows[i].high;
        assert_int_equal(ms_pressure_cgroup_limit(&s), rows[i].limit);
        assert_int_equal(ms_pressure_cgroup_free(&s), rows[i].left);
    }
}

static void stalls(void **state) {
    (void)state;
    static const struct {
        double some, full;
        ms_pressure_level level;
        const char *reason;
    } rows[] = {
        {-1, -1, MS_PRESSURE_NONE, "enough"},
        {4.99, 1.99, MS_PRESSURE_NONE, "enough"},
        {5, 0, MS_PRESSURE_LOW, "memory stalls: some avg10 5.00 %, at least 5"},
        {5, -1, MS_PRESSURE_LOW, "some"},
        {4, 2, MS_PRESSURE_LOW, "full"},
        {20, 2, MS_PRESSURE_HIGH, "some avg10 20.00 %, at least 20"},
        {19, 10, MS_PRESSURE_HIGH, "full avg10 10.00 %, at least 10"},
        {60, 39, MS_PRESSURE_CRITICAL, "some"},
        {99, 40, MS_PRESSURE_CRITICAL, "full"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        char reason[MS_PRESSURE_REASON_BYTES];
        ms_pressure_sample s = unknown();
        s.psi_some = rows[i].some;
        s.psi_full = rows[i].full;
        assert_int_equal(judge(s, NULL, reason), rows[i].level);
        assert_non_null(strstr(reason, rows[i].reason));
    }
}

static void events(void **state) {
    (void)state;
    static const struct {
        int64_t left; /* of 100; U = no limit known */
        int64_t high, max, oom, depth;
        ms_pressure_level level;
        const char *reason;
    } rows[] = {
        /* before: high 5, max 3, oom 1, depth 0 */
        {15, 5, 3, 1, 0, MS_PRESSURE_NONE, "enough"},
        {15, 7, 3, 1, 0, MS_PRESSURE_LOW, "cgroup: 2 new high events"},
        {15, 7, 4, 1, 0, MS_PRESSURE_HIGH, "cgroup: 1 new max events"},
        {15, 7, 4, 2, 0, MS_PRESSURE_CRITICAL, "cgroup: 1 new oom events"},
        {21, 7, 4, 1, 0, MS_PRESSURE_NONE, "enough"}, /* only the page cache goes round */
        {90, 7, 4, 2, 0, MS_PRESSURE_CRITICAL, "oom"},
        {U, 7, 3, 1, 0, MS_PRESSURE_LOW, "high"},
        {15, 9, 9, 9, 1, MS_PRESSURE_NONE, "enough"}, /* another cgroup's counters */
        {15, 0, 0, 0, 0, MS_PRESSURE_NONE, "enough"}, /* counters that began anew */
        {15, U, U, U, 0, MS_PRESSURE_NONE, "enough"},
        {4, 7, 3, 1, 0, MS_PRESSURE_HIGH, "cgroup memory"},
    };
    ms_pressure_sample before = unknown();
    before.cgroup_depth = 0;
    before.events_high = 5;
    before.events_max = 3;
    before.events_oom = 1;
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        char reason[MS_PRESSURE_REASON_BYTES];
        ms_pressure_sample s = unknown();
        s.cgroup_depth = rows[i].depth;
        s.cgroup_max = rows[i].left < 0 ? NO_LIMIT : 100 * GIB / 10;
        s.cgroup_current = (100 - rows[i].left) * GIB / 10;
        s.events_high = rows[i].high;
        s.events_max = rows[i].max;
        s.events_oom = rows[i].oom;
        assert_int_equal(judge(s, &before, reason), rows[i].level);
        assert_non_null(strstr(reason, rows[i].reason));
        ms_pressure_sample blank = unknown();
        blank.cgroup_depth = rows[i].depth;
        ms_pressure_level level = judge(s, &blank, NULL); /* counters that were unknown: nothing is new */
        assert_int_equal(level, rows[i].left == 4 ? MS_PRESSURE_HIGH : MS_PRESSURE_NONE);
        assert_int_equal(judge(s, NULL, NULL), level);
    }
}

static void the_worst_cause_is_named(void **state) {
    (void)state;
    char reason[MS_PRESSURE_REASON_BYTES];
    ms_pressure_sample s = unknown();
    s.host_total = 10 * GIB;
    s.host_available = GIB * 7 / 10; /* LOW */
    s.psi_some = 25;                 /* HIGH */
    s.device_total = 10 * GIB;
    s.device_free = GIB * 6 / 10; /* LOW */
    assert_int_equal(judge(s, NULL, reason), MS_PRESSURE_HIGH);
    assert_non_null(strstr(reason, "some"));
    s.psi_some = 1;
    assert_int_equal(judge(s, NULL, reason), MS_PRESSURE_LOW);
    assert_non_null(strstr(reason, "device")); /* of equals the first */
}

/* ---- following ---- */

static ms_pressure_sample free_at(double time_s, double percent, double psi) {
    ms_pressure_sample s = unknown();
    s.time_s = time_s;
    s.host_total = 10000 * (int64_t)1000000;
    s.host_available = (int64_t)(percent * 1e8);
    s.psi_some = psi;
    return s;
}

typedef struct step {
    double time_s, percent, psi;
    ms_pressure_level level; /* after it */
} step;

static void follow(const step *steps, size_t count) {
    ms_pressure_thresholds t;
    ms_pressure_state s = {0};
    ms_pressure_thresholds_init(&t);
    for (size_t i = 0; i < count; i++) {
        ms_pressure_change change = {.number = -7};
        ms_pressure_level before = s.level;
        ms_pressure_sample sample = free_at(steps[i].time_s, steps[i].percent, steps[i].psi);
        bool changed = ms_pressure_advance(&s, &t, &sample, NULL, &change);
        if (s.level != steps[i].level)
            fail_msg("step %zu, %g s: %s, not %s", i, steps[i].time_s, ms_pressure_name(s.level),
                     ms_pressure_name(steps[i].level));
        assert_int_equal(changed, s.level != before);
        assert_int_equal(change.number, changed ? (int64_t)i : -7);
        if (changed)
            assert_true(change.from == before && change.to == s.level && change.safe_point == -1 &&
                        change.sample.time_s == steps[i].time_s && change.reason[0]);
    }
}
#define FOLLOW(...) follow((const step[]){__VA_ARGS__}, sizeof((const step[]){__VA_ARGS__}) / sizeof(step))

#define NONE MS_PRESSURE_NONE
#define LOW MS_PRESSURE_LOW
#define HIGH MS_PRESSURE_HIGH
#define CRITICAL MS_PRESSURE_CRITICAL

static void up_at_once(void **state) {
    (void)state;
    FOLLOW({0, 50, 0, NONE}, {0.25, 2, 0, CRITICAL}, {0.5, 1, 0, CRITICAL});
    FOLLOW({0, 7, 0, LOW}, {0.25, 4, 0, HIGH}, {0.5, 4, 70, CRITICAL});
    FOLLOW({0, 1, 0, CRITICAL}); /* the first sample already */
}

static void down_one_level_at_a_time(void **state) {
    (void)state;
    FOLLOW({0, 1, 0, CRITICAL}, {1, 50, 0, CRITICAL}, {5.9, 50, 0, CRITICAL}, {6, 50, 0, HIGH},
           {10.9, 50, 0, HIGH}, {11, 50, 0, LOW}, {15.9, 50, 0, LOW}, {16, 50, 0, NONE}, {99, 50, 0, NONE});
}

static void a_relapse_starts_the_hold_anew(void **state) {
    (void)state;
    FOLLOW({0, 7, 0, LOW}, {1, 50, 0, LOW}, {5, 7.5, 0, LOW}, {6, 50, 0, LOW}, {10, 50, 0, LOW},
           {11, 50, 0, NONE});
    FOLLOW({0, 7, 0, LOW}, {1, 50, 0, LOW}, {4, 4, 0, HIGH}, {5, 50, 0, HIGH}, {6, 50, 0, HIGH},
           {10, 50, 0, LOW});
}

static void a_margin_on_the_way_down(void **state) {
    (void)state;
    /* LOW began below 8 %, so it ends at 13 %; HIGH ends at 10 %, CRITICAL at 7.5 %. */
    FOLLOW({0, 7, 0, LOW}, {1, 12.9, 0, LOW}, {100, 12.9, 0, LOW}, {101, 13, 0, LOW}, {106, 13, 0, NONE});
    FOLLOW({0, 4, 0, HIGH}, {1, 9.9, 0, HIGH}, {50, 10, 0, HIGH}, {55, 10, 0, LOW}, {99, 10, 0, LOW});
    FOLLOW({0, 2, 0, CRITICAL}, {1, 7.4, 0, CRITICAL}, {50, 7.51, 0, CRITICAL}, {55, 7.51, 0, HIGH},
           {99, 7.51, 0, HIGH});
    /* Stalls end below half of what raised them: at 2.5 %, 10 %. */
    FOLLOW({0, 50, 5, LOW}, {1, 50, 2.5, LOW}, {50, 50, 2.5, LOW}, {51, 50, 2.4, LOW}, {56, 50, 2.4, NONE});
    FOLLOW({0, 50, 21, HIGH}, {1, 50, 10, HIGH}, {50, 50, 9.9, HIGH}, {55, 50, 9.9, LOW}, {99, 50, 9.9, LOW});
}

static void reasons_of_both_ways(void **state) {
    (void)state;
    ms_pressure_thresholds t;
    ms_pressure_state s = {0};
    ms_pressure_change change;
    ms_pressure_thresholds_init(&t);
    ms_pressure_sample a = free_at(0, 4, 0), b = free_at(1, 50, 0), c = free_at(6.5, 50, 0);
    assert_true(ms_pressure_advance(&s, &t, &a, NULL, &change));
    assert_string_equal(change.reason, "host memory: 0.37 of 9.31 GiB free, below 0.47");
    assert_false(ms_pressure_advance(&s, &t, &b, NULL, &change));
    assert_true(ms_pressure_advance(&s, &t, &c, NULL, &change));
    assert_string_equal(change.reason, "high: no longer, for 5.5 s");
    assert_true(change.sample.host_available == c.host_available && change.number == 2);
}

static void forced_levels(void **state) {
    (void)state;
    ms_pressure_thresholds t;
    ms_pressure_state s = {0};
    ms_pressure_change change;
    ms_pressure_thresholds_init(&t);
    ms_pressure_level high = HIGH, none = NONE;
    ms_pressure_sample calm = free_at(0, 50, 0), tight = free_at(1, 1, 0);
    assert_true(ms_pressure_advance(&s, &t, &calm, &high, &change));
    assert_true(s.level == HIGH && change.from == NONE && strstr(change.reason, "forced"));
    assert_false(ms_pressure_advance(&s, &t, &calm, &high, &change));
    assert_true(ms_pressure_advance(&s, &t, &tight, &none, &change)); /* down at once, however tight it is */
    assert_true(s.level == NONE);
    assert_true(ms_pressure_advance(&s, &t, &tight, NULL, &change)); /* let go: judged again */
    assert_true(s.level == CRITICAL);
}

/* Free memory that jumps about a threshold by less than the margin changes the level once. */
static void jitter_does_not_oscillate(void **state) {
    (void)state;
    ms_pressure_thresholds t;
    ms_pressure_thresholds_init(&t);
    uint64_t seed = 9;
    for (int level = 0; level < 3; level++) {
        ms_pressure_state s = {0};
        int changes = 0;
        for (int i = 0; i < 20000; i++) {
            ms_pressure_change change;
            double percent = 100 * t.share[level] + 2.4 * (double)test_uniform(&seed);
            ms_pressure_sample sample = free_at(0.25 * i, percent, 0);
            changes += ms_pressure_advance(&s, &t, &sample, NULL, &change);
        }
        assert_in_range(changes, 1, level + 1); /* perhaps by way of the lower ones, never down */
        assert_true(s.level >= (ms_pressure_level)(level + 1));
    }
}

/* Whatever comes: up exactly to what is judged, down by one, and never within the hold of the last change. */
static void rules_hold_for_any_sequence(void **state) {
    (void)state;
    ms_pressure_thresholds t;
    ms_pressure_thresholds_init(&t);
    ms_pressure_state s = {0};
    uint64_t seed = 3;
    double last_change_s = -100, percent = 20;
    int ups = 0, downs = 0;
    for (int i = 0; i < 100000; i++) {
        ms_pressure_change change;
        percent = fabs(percent + 3 * (double)test_uniform(&seed));
        percent = percent > 40 ? 40 : percent;
        ms_pressure_sample sample = free_at(0.25 * i, percent, 0), before = s.last;
        ms_pressure_level judged = judge(sample, i ? &before : NULL, NULL);
        if (!ms_pressure_advance(&s, &t, &sample, NULL, &change)) {
            assert_true(judged <= s.level);
            continue;
        }
        if (change.to > change.from) {
            assert_int_equal(change.to, judged);
            ups++;
        } else {
            assert_int_equal(change.to, change.from - 1);
            assert_true(sample.time_s - last_change_s >= t.hold_s);
            assert_true(percent >= 100 * t.share[change.from - 1] + 5 - 1e-6);
            downs++;
        }
        last_change_s = sample.time_s;
    }
    assert_true(ups > 100 && downs > 100);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(documented_thresholds),
        cmocka_unit_test(thresholds_out_of_order_are_refused),
        cmocka_unit_test(shares_of_memory),
        cmocka_unit_test(limits_of_a_cgroup),
        cmocka_unit_test(stalls),
        cmocka_unit_test(events),
        cmocka_unit_test(the_worst_cause_is_named),
        cmocka_unit_test(up_at_once),
        cmocka_unit_test(down_one_level_at_a_time),
        cmocka_unit_test(a_relapse_starts_the_hold_anew),
        cmocka_unit_test(a_margin_on_the_way_down),
        cmocka_unit_test(reasons_of_both_ways),
        cmocka_unit_test(forced_levels),
        cmocka_unit_test(jitter_does_not_oscillate),
        cmocka_unit_test(rules_hold_for_any_sequence),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
