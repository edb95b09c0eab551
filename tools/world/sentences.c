#include "world/sentences.h"

#include <stdio.h>

#define PICK(dice, list) ((list)[w_pick(dice, (int)(sizeof(list) / sizeof((list)[0])))])

static const char *const adjectives[] = {
    "quiet",  "yellow", "broken", "enormous", "young", "old",    "cheerful", "rough",
    "smooth", "purple", "thin",   "warm",     "cold",  "clever", "narrow",   "very good",
    "blue",   "wooden", "empty",  "famous",   "lazy",  "royal",  "heavy",    "small",
};
static const char *const things[] = {
    "boat",     "kitchen", "mountain", "picture",   "garden", "window",  "telephone", "village",
    "question", "church",  "orange",   "jacket",    "piano",  "bridge",  "mirror",    "paper",
    "feather",  "engine",  "umbrella", "breakfast", "loaf",   "shoe",    "map",       "cloud",
    "thumb",    "beach",   "volcano",  "judge",     "spoon",  "measure",
};
static const char *const people[] = {
    "my father",    "the teacher", "our neighbour", "a sailor",      "the king",   "Mary",
    "your brother", "George",      "the painter",   "nobody here",   "the doctor", "my aunt",
    "every child",  "Paul",        "the farmer",    "Vivian",        "this woman", "the watchman",
    "Joe",          "the queen",   "their cousin",  "a young thief", "the boy",    "Sophie",
};
static const char *const deeds[] = {
    "bought",     "moved",      "forgot", "painted",  "watched",  "carried",  "opened",
    "threw away", "looked for", "found",  "put down", "borrowed", "measured", "fixed",
    "showed me",  "described",  "loved",  "chose",    "hid",      "washed",
};
static const char *const places[] = {
    "near the river",   "behind the house", "in the village", "on the roof",    "at the market",
    "under the bridge", "by the fire",      "in Paris",       "above the shop", "outside the school",
    "along the beach",  "across the road",  "in my room",     "over there",     "between two oaks",
    "upstairs",         "at the theatre",   "far from home",
};
static const char *const times[] = {
    "yesterday", "in the morning", "before lunch", "every Thursday",  "last year",   "at five o'clock",
    "in June",   "twice a week",   "after school", "for three hours", "on a Sunday", "a moment ago",
};
static const char *const verbs[] = {
    "buy", "see",     "move",  "paint",   "carry",  "open", "throw",
    "fix", "give me", "watch", "measure", "choose", "keep", "push",
};
static const char *const openings[] = {
    "I think", "They say",        "You know that", "We hope",
    "Perhaps", "It is true that", "Of course",     "As you see,",
};

int sentence_write(w_dice *d, char text[SENTENCE_MAX]) {
    const char *who = PICK(d, people), *what = PICK(d, things), *how = PICK(d, adjectives),
               *where = PICK(d, places), *when = PICK(d, times), *more = PICK(d, things),
               *verb = PICK(d, verbs), *did = PICK(d, deeds);
    switch (w_pick(d, 8)) {
    case 0:
        return snprintf(text, SENTENCE_MAX, "%s %s %s the %s %s. ", PICK(d, openings), who, did, how, what);
    case 1:
        return snprintf(text, SENTENCE_MAX, "Why did %s %s the %s %s? ", who, verb, what, where);
    case 2:
        return snprintf(text, SENTENCE_MAX, "Please %s the %s, and then the %s %s. ", verb, what, how, more);
    case 3:
        return snprintf(text, SENTENCE_MAX, "There was a %s %s %s. ", how, what, where);
    case 4:
        return snprintf(text, SENTENCE_MAX, "%s, %s %s a %s %s %s. ", when, who, did, how, what, where);
    case 5:
        return snprintf(text, SENTENCE_MAX, "May I %s your %s %s? ", verb, what, when);
    case 6:
        return snprintf(text, SENTENCE_MAX, "The %s and the %s are %s, but %s %s them. ", what, more, how,
                        who, did);
    default:
        return snprintf(text, SENTENCE_MAX, "Number %d: %s %s %d %ss %s. ", 1 + w_pick(d, 99), who, did,
                        2 + w_pick(d, 18), what, where);
    }
}
