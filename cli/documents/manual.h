/* Manual pages in man(7), made from the tables that --help is made from: one for
   memsafe, one for each of its commands. */
#ifndef CLI_MANUAL_H
#define CLI_MANUAL_H

#include "options/options.h"

/* To stdout. NULL: memsafe(1), the page that names the commands; of a group, its
   members are sections of its page. */
void cli_print_manual(const cli_command *command);

#endif
