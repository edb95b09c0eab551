/*
 * Plain English sentences from a seed, to be spoken: a small grammar over a word list that has every sound of
 * the language in it. They make sense by accident only.
 */
#ifndef WORLD_SENTENCES_H
#define WORLD_SENTENCES_H

#include "world/wmath.h"

#define SENTENCE_MAX 240 /* bytes of the longest sentence, with its ending zero */

/* The next sentence that the dice give, with its full stop or question mark. Returns its length. */
int sentence_write(w_dice *dice, char text[SENTENCE_MAX]);

#endif
