/* A model's file is told from another by all of it, and one that changes while a run is opened is found. */
#include "test.h"

#include <fcntl.h>

#include "support/run_inputs.h"

#define VAE "model/vae/diffusion_pytorch_model.safetensors"

static int setup(void **state) {
    (void)state;
    test_make_run_inputs(4, "240x208");
    return 0;
}

static int teardown(void **state) {
    (void)state;
    test_dir_remove();
    return 0;
}

/* A byte in the middle of the VAE's weights; the times stay when keep is set. */
static void change_middle(bool keep) {
    struct stat st;
    uint8_t byte;
    int fd = open(test_file(VAE), O_RDWR);
    assert_true(fd >= 0);
    assert_int_equal(fstat(fd, &st), 0);
    assert_true(st.st_size > 3 * (64 << 10)); /* else its ends are all of it */
    assert_int_equal(pread(fd, &byte, 1, st.st_size / 2), 1);
    byte ^= 1;
    assert_int_equal(pwrite(fd, &byte, 1, st.st_size / 2), 1);
    const struct timespec times[2] = {st.st_atim, st.st_mtim};
    if (keep)
        assert_int_equal(futimens(fd, times), 0);
    close(fd);
}

static const char *identity_of(const ms_run_report *r, const char *part) {
    for (int i = 0; i < r->n_model_files; i++)
        if (strcmp(r->model_file[i].part, part) == 0)
            return r->model_file[i].identity;
    fail_msg("the report has no %s", part);
    return NULL;
}

static void run_params(ms_run_params *p) {
    test_run_params(4, p);
    p->steps = 1;
    p->output = test_file("out.mkv");
}

static void another_middle_is_another_model_in_the_report(void **state) {
    (void)state;
    static ms_run_report before, after;
    ms_error err;
    ms_run_params p;
    run_params(&p);
    assert_ms_ok(ms_run(&p, &before, &err), &err);
    change_middle(true);
    assert_ms_ok(ms_run(&p, &after, &err), &err);
    assert_string_not_equal(identity_of(&before, "VAE"), identity_of(&after, "VAE"));
    assert_string_equal(identity_of(&before, "UNet"), identity_of(&after, "UNet"));
    change_middle(true);
    assert_ms_ok(ms_run(&p, &after, &err), &err);
    assert_string_equal(identity_of(&before, "VAE"), identity_of(&after, "VAE"));
    assert_int_equal(after.n_model_files, 3); /* faces come from a track */
}

/* Between the look that the job is known by and the loading of the weights. */
static void change_before_loading(void *arg, const ms_run_report *report) {
    (void)arg;
    (void)report;
    change_middle(false);
}

static void a_model_that_changes_while_it_is_opened_is_an_error(void **state) {
    (void)state;
    ms_error err;
    ms_run_params p;
    run_params(&p);
    unlink(p.output);
    p.planned = change_before_loading;
    assert_int_equal(ms_run(&p, NULL, &err), MS_IO);
    assert_non_null(strstr(err.message, VAE));
    assert_non_null(strstr(err.message, "(VAE) changed while the run was opened"));
    assert_false(test_exists(p.output));
    p.planned = NULL;
    assert_ms_ok(ms_run(&p, NULL, &err), &err);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(another_middle_is_another_model_in_the_report),
        cmocka_unit_test(a_model_that_changes_while_it_is_opened_is_an_error),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
