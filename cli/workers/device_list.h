/* `--device` with several: "cuda:0,cuda:1", "cpu:2", "cuda:0,cpu". */
#ifndef CLI_DEVICE_LIST_H
#define CLI_DEVICE_LIST_H

#include "memsafe/status.h"

#define CLI_MAX_WORKERS 16
#define CLI_DEVICE_BYTES 64

typedef struct cli_device_list {
    char name[CLI_MAX_WORKERS][CLI_DEVICE_BYTES]; /* as ms_run_params.device has it */
    int count;
    int cpus; /* of them, workers on the processor */
} cli_device_list;

/* text: NULL = one, the best. "cpu:N" is N workers on the processor, any other NAME:N one device. */
ms_status cli_device_list_parse(const char *text, cli_device_list *ret_list, ms_error *err);

/* To the first so many. */
void cli_device_list_cut(cli_device_list *list, int count);

#endif
