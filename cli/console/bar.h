/* The line that shows how far a command is: what it says, and how it is made to
   fit. Pure: numbers and a width in, text out. */
#ifndef CLI_BAR_H
#define CLI_BAR_H

#include <stdbool.h>
#include <stdint.h>

typedef struct cli_bar {
    double fraction;     /* 0 to 1; negative = not known */
    double left_s;       /* negative = not known */
    double seconds;      /* since the start */
    const char *stage;   /* for people: "denoising" */
    int64_t part, parts; /* of the stage; parts 0 = not counted */
    const char *part_of; /* "step", or NULL: parts are not shown */
    int64_t frames_done;
    int64_t frames_total; /* 0 = not known */
} cli_bar;

#define CLI_BAR_MOST_COLUMNS 200
#define CLI_BAR_BYTES (CLI_BAR_MOST_COLUMNS + 1)

/* At most columns - 1 characters, so that no terminal goes on in the next line; of
   20 to 200 columns. The narrower it is, the less is said: the frames go first,
   then the bar, the stage, the time left. Returns the text's length. */
int cli_bar_text(const cli_bar *bar, int columns, char ret_text[CLI_BAR_BYTES]);

/* Where lines stay, as in a log: whether one is due after `last`, the bar that the last
   line said (all zero before the first). It comes with the next tenth of the work, but
   not within a minute; where it is not known how much work there is, each ten minutes. */
bool cli_bar_is_due(const cli_bar *bar, const cli_bar *last);

#endif
