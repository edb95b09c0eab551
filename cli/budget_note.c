#include "budget_note.h"

#include "console.h"
#include "system/host.h"
#include "text/size.h"

void cli_note_budget(const char *which, uint64_t budget_bytes) {
    char asked[MS_SIZE_TEXT_BYTES], has[MS_SIZE_TEXT_BYTES];
    ms_host host;
    ms_host_read(&host);
    size_t machine = ms_host_nominal_bytes(&host);
    if (machine > 0 && budget_bytes > machine)
        cli_warn_as("note: ", "budget-above-machine", "the %s is %s, but this machine has only %s", which,
                    ms_size_format(asked, (size_t)budget_bytes), ms_size_format(has, machine));
}
