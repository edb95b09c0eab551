#include "options/nearest.h"

#include <string.h>

#define MAX_LENGTH 32

const char *cli_last_word(const char *name) {
    const char *space = strrchr(name, ' ');
    return space ? space + 1 : name;
}

/* Letters to insert, leave out, replace or swap with their neighbour (the optimal
   string alignment distance). */
static int distance(const char *a, size_t na, const char *b) {
    int row[3][MAX_LENGTH + 1];
    size_t nb = strlen(b);
    if (na > MAX_LENGTH || nb > MAX_LENGTH)
        return MAX_LENGTH;
    for (size_t j = 0; j <= nb; j++)
        row[0][j] = (int)j;
    for (size_t i = 1; i <= na; i++) {
        int *now = row[i % 3], *before = row[(i + 2) % 3], *two = row[(i + 1) % 3];
        now[0] = (int)i;
        for (size_t j = 1; j <= nb; j++) {
            int best = before[j - 1] + (a[i - 1] != b[j - 1]);
            if (before[j] + 1 < best)
                best = before[j] + 1;
            if (now[j - 1] + 1 < best)
                best = now[j - 1] + 1;
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] && two[j - 2] + 1 < best)
                best = two[j - 2] + 1;
            now[j] = best;
        }
    }
    return row[na % 3][nb];
}

/* How far a word is from a name: the beginning of a name is near, whatever is left
   out. MAX_LENGTH: too far. */
static int farness(const char *word, size_t length, const char *name) {
    if (length >= 3 && strncmp(word, name, length) == 0)
        return 1;
    int d = distance(word, length, name);
    return length >= 3 && d <= 1 + (int)length / 4 ? d : MAX_LENGTH;
}

/* Words for the same thing. What FFmpeg calls it is in habits.c. */
static const char *known_as(const char *word, size_t length) {
    static const struct {
        const char *theirs, *ours;
    } names[] = {{"input", "video"},   {"output", "out"}, {"overwrite", "force"}, {"begin", "start"},
                 {"from", "start"},    {"until", "to"},   {"end", "to"},          {"length", "duration"},
                 {"memory", "budget"}, {"mem", "budget"}, {"backend", "device"},  {"model", "shape"},
                 {"m", "shape"}};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        if (strlen(names[i].theirs) == length && strncmp(names[i].theirs, word, length) == 0)
            return names[i].ours;
    return NULL;
}

const cli_option *cli_nearest_option(const cli_command *c, const char *word) {
    const cli_option *best = NULL;
    int best_farness = MAX_LENGTH;
    word += strspn(word, "-");
    size_t length = strcspn(word, "=");
    const char *ours = known_as(word, length);
    if (ours)
        best = cli_find_option(c, ours, strlen(ours));
    const cli_option *o;
    for (int i = 0; !ours && (o = cli_option_at(c, i)) != NULL; i++) {
        int far = o->name ? farness(word, length, o->name) : MAX_LENGTH;
        if (far < best_farness) {
            best_farness = far;
            best = o;
        }
    }
    return best;
}

const char *cli_nearest_command(const cli_command *const *commands, const char *word) {
    const char *best = NULL;
    int best_farness = MAX_LENGTH;
    for (; *commands; commands++) {
        const char *name = cli_last_word((*commands)->name);
        int far = farness(word, strlen(word), name);
        if (far < best_farness) {
            best_farness = far;
            best = name;
        }
    }
    return best;
}
