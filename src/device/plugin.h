/*
 * Back ends that are not compiled in. memsafe-NAME.so is looked for in some folders (ms_plugin_folder()); it
 * exports one function, MS_PLUGIN_ENTRY. A plug-in shares nothing with the library that loads it but this
 * table: memory of the host it takes through the services that it is given, so that it is charged. Code of
 * the library that it uses it has a copy of.
 */
#ifndef MS_DEVICE_PLUGIN_H
#define MS_DEVICE_PLUGIN_H

#include "device/device.h"

/* Memory of the host, charged to a ledger; mem NULL = the process's. */
typedef struct ms_host_services {
    void *(*alloc)(ms_mem *mem, ms_ledger ledger, size_t bytes);
    void (*free)(void *block);
    /* of memory that is not the host's; false: over the budget */
    bool (*charge)(ms_mem *mem, ms_ledger ledger, size_t bytes);
    void (*release)(ms_mem *mem, ms_ledger ledger, size_t bytes);
} ms_host_services;

#define MS_PLUGIN_ENTRY "ms_plugin_backend"
/* The table lives as long as the process. NULL: this plug-in was built for another MS_BACKEND_ABI. */
typedef const ms_backend *(*ms_plugin_entry)(uint32_t abi, const ms_host_services *services);

/* Finds and loads the plug-in of that name once; later calls give the same table. MS_UNSUPPORTED: there is
   none (MS_HINT_DEVICE_AUTO), or it cannot be loaded; the message names the file and the reason, or the
   folders. */
ms_status ms_plugin_find(const char *name, const ms_backend **ret_backend, ms_error *err);

#endif
