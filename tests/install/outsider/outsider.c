#include <memsafe/memsafe.h>
#include <stdio.h>

int main(void) {
    printf("%s: %s\n", ms_version(), ms_status_text(MS_OK));
    return ms_version_number() == MS_VERSION_NUMBER ? 0 : 1;
}
