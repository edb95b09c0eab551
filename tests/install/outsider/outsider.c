#include <memsafe/memsafe.h>
#include <stdio.h>

int main(void) {
    printf("%s: %s\n", MS_VERSION_TEXT, ms_status_text(MS_OK));
    return 0;
}
