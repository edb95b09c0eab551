#include "console/budget_note.h"

#include "console/console.h"
#include "memsafe/probe.h"
#include "text/size.h"

void cli_note_budget(const char *which, uint64_t budget_bytes) {
    char asked[MS_SIZE_TEXT_BYTES], has[MS_SIZE_TEXT_BYTES];
    ms_probe *probe = NULL;
    ms_probe_host host;
    ms_probe_create(NULL, &probe, NULL);
    ms_probe_get_host(probe, &host); /* without memory for a probe there is nothing to note */
    ms_probe_destroy(&probe);
    const size_t machine = host.nominal_bytes;
    if (machine > 0 && budget_bytes > machine)
        cli_warn_as("note: ", "budget-above-machine", "the %s is %s, but this machine has only %s", which,
                    ms_size_format(asked, (size_t)budget_bytes), ms_size_format(has, machine));
}
