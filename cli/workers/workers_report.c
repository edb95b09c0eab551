#include "workers/workers_report.h"

#include <inttypes.h>
#include <stdio.h>

#include "console/console.h"
#include "text/duration.h"
#include "text/size.h"

static const char *of_device(char *text, size_t size, size_t bytes) {
    char peak[MS_SIZE_TEXT_BYTES];
    text[0] = 0;
    if (bytes)
        snprintf(text, size, "%s of the device's and ", ms_size_format(peak, bytes));
    return text;
}

void cli_workers_say(const cli_workers_report *r) {
    char time[MS_DURATION_TEXT_BYTES], peak[MS_SIZE_TEXT_BYTES], own[MS_SIZE_TEXT_BYTES + 32];
    for (int i = 0; r && i < r->count; i++) {
        if (r->worker[i].problem[0])
            cli_say("  worker %d on %s: %" PRId64 " frames, then it ended: %s\n", i + 1, r->worker[i].device,
                    r->worker[i].frames, r->worker[i].problem);
        else if (cli_console_is_verbose())
            cli_say("  worker %d on %s: %" PRId64 " frames in %s, at most %s%s of memory\n", i + 1,
                    r->worker[i].device, r->worker[i].frames, ms_duration_format(time, r->worker[i].seconds),
                    of_device(own, sizeof(own), r->worker[i].device_peak_bytes),
                    ms_size_format(peak, (uint64_t)r->worker[i].peak_bytes));
    }
}

void cli_workers_json(ms_buf *b, const cli_workers_report *r) {
    ms_buf_printf(b, "[");
    for (int i = 0; r && i < r->count; i++) {
        ms_buf_printf(b, "%s{\"device\": ", i ? ",\n    " : "");
        ms_buf_json_string(b, r->worker[i].device);
        ms_buf_printf(b,
                      ", \"frames\": %" PRId64 ", \"seconds\": %.3f, \"budget_bytes\": %" PRIu64
                      ", \"peak_resident_bytes\": %" PRId64 ", \"device_peak_bytes\": %zu, ",
                      r->worker[i].frames, r->worker[i].seconds, r->worker[i].budget_bytes,
                      r->worker[i].peak_bytes, r->worker[i].device_peak_bytes);
        ms_buf_json_member(b, "", "rung", ms_rung_name(r->worker[i].rung));
        ms_buf_printf(
            b, ", \"planned_bytes\": %" PRIu64 ", \"windows_computed\": %" PRId64 ",\n     \"stages\": {",
            r->worker[i].planned_bytes, r->worker[i].windows);
        for (int k = 0; k < MS_STAGE_COUNT; k++)
            ms_buf_printf(b, "%s\"%s\": %.3f", k ? ", " : "", ms_stage_name((ms_stage)k),
                          r->worker[i].stage_s[k]);
        ms_buf_printf(b, "}, \"problem\": ");
        if (r->worker[i].problem[0])
            ms_buf_json_string(b, r->worker[i].problem);
        else
            ms_buf_printf(b, "null");
        ms_buf_printf(b, "}");
    }
    ms_buf_printf(b, "]");
}
