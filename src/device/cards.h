/*
 * CUDA cards as their maker describes them, so that a run on a card that is not here can be planned and
 * estimated. Nothing of it was measured by memsafe.
 */
#ifndef MS_DEVICE_CARDS_H
#define MS_DEVICE_CARDS_H

#include <stdbool.h>
#include <stddef.h>

/* Figures of NVIDIA's architecture white papers and data sheets. */
typedef struct ms_card {
    const char *name;
    const char *driver_name; /* a pattern (fnmatch(3)) of what the driver calls it; NULL = the name itself */
    int arch;                /* compute capability: 75, 80, 86, 89, 90, 100, 120 */
    int memory_gib;          /* as it is sold */
    int multiprocessors;
    double tensor_tflops; /* fp16 and bf16, dense, sums in float32 */
    double float_tflops;  /* float32 without tensor cores */
    double gbytes_s;      /* memory bandwidth, 1e9 bytes a second */
} ms_card;

/* NULL behind the last; by architecture, then by memory. */
const ms_card *ms_card_at(int index);

/* Of an architecture's cards the largest that has no more memory than that, or the smallest; NULL: there is
   none of that architecture. */
const ms_card *ms_card_find(int arch, size_t memory_bytes);

/* Whether a device that describes itself so ("NVIDIA GeForce RTX 3090 (sm_86, 23.7 GiB)") is one. */
bool ms_card_is(const ms_card *card, const char *description);

/* "sm_86", "86" or "8.6" -> 86; 0 when it is none that memsafe has kernels for. */
int ms_card_arch(const char *text);

/* What a process takes of the card's memory by using it, about: a context grows with the multiprocessors,
   from 107 MiB (RTX 4060 Ti, 34 of them; smaller cards are taken to need as much) to 612 MiB (B200, 148);
   and the kernels' code. */
size_t ms_card_context_bytes(const ms_card *card);

#endif
