/* Where plug-ins are looked for: ms_plugin_folder() of memsafe/probe.h, and for messages. */
#ifndef MS_DEVICE_PLUGIN_FOLDERS_H
#define MS_DEVICE_PLUGIN_FOLDERS_H

#include "memsafe/probe.h"

#define MS_PLUGIN_FOLDER_BYTES 4096

/* "A, B": as many of the folders as there is room for. */
void ms_plugin_folders_text(char *ret_text, size_t bytes);

#endif
