#ifndef CLI_WRAP_H
#define CLI_WRAP_H

/* The text in lines of at most so many columns, broken at spaces; what goes on is
   indented as its line is, and two more. A word that is longer stays whole. *at: the
   column where the text begins, then where it ends. NULL: no memory. To be freed. */
char *cli_wrap(const char *text, int columns, int *at);

#endif
