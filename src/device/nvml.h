/*
 * NVIDIA's management library (NVML), where the driver has installed it: it knows cards and their memory
 * without a context on any. It is opened for each question and closed again.
 */
#ifndef MS_DEVICE_NVML_H
#define MS_DEVICE_NVML_H

#include <stdbool.h>
#include <stddef.h>

/* Of the card in that slot ("0000:01:00.0"). false: there is no such library, or it does not know. */
bool ms_nvml_memory(const char *pci_bus_id, size_t *ret_free_bytes, size_t *ret_total_bytes);

/* The driver's own version ("580.65.06"). false: as above. */
bool ms_nvml_driver(char *ret_text, size_t size);

typedef struct ms_nvml_card {
    char name[96];
    int arch;                       /* compute capability: 86; 0 = not known */
    size_t total_bytes, free_bytes; /* 0 = the host's memory is its own */
    char problem[160];              /* "" = none; else what could not be found out, the rest is 0 or "" */
} ms_nvml_card;

/* The first `most` cards by NVML's numbers; how many are filled in. 0: there is no such library, or no
   card. A library that cannot be used is one card with a problem. */
int ms_nvml_cards(ms_nvml_card *ret_cards, int most);

#endif
