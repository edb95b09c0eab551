/*
 * Hashes of the pictures that test_card_run makes on the emulated card: predictions of what a card of the
 * class gives. They hold where the processor's pictures (fp32) have the first hash. Not yet compared with a
 * card.
 */
#ifndef MS_TESTS_CARDS_PREDICTED_H
#define MS_TESTS_CARDS_PREDICTED_H

#include <stdint.h>

static const uint64_t predicted_cpu = 0x27905e9d58420ec8;

/* sm_75 to sm_89, then sm_90 and later; fp32, fp16, bf16. */
static const uint64_t predicted_cuda[2][3] = {{0x27905e9d58420ec8, 0x38794ae71ed23410, 0xd01a3a0873c5b505},
                                              {0x27905e9d58420ec8, 0x201ef148de66ce96, 0x87399f2cc55e6cbc}};

#endif
