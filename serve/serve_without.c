/* In builds that lack a library that serving needs. */
#include "serve.h"

#include "base/error.h"

const char *serve_lacks(void) {
    return SERVE_LACKS;
}

ms_status serve(const serve_params *params, ms_error *err) {
    (void)params;
    return ms_fail(err, MS_UNSUPPORTED, "this build cannot serve: it was made without %s", SERVE_LACKS);
}

int serve_worker(int argc, char **argv,
                 ms_status (*write_report)(const char *path, const ms_run_params *params,
                                           const ms_run_report *report, ms_error *err)) {
    (void)argc, (void)argv, (void)write_report;
    return ms_status_exit_code(MS_UNSUPPORTED);
}
