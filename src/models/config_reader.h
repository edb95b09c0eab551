/* Reading fields out of a config tree with one sticky error that names the file, the field and the value. */
#ifndef MS_MODELS_CONFIG_READER_H
#define MS_MODELS_CONFIG_READER_H

#include "text/json.h"

typedef struct ms_config_reader {
    const char *path;      /* for messages */
    const char *section;   /* "model", for messages */
    const ms_json *object; /* NULL: every field is absent */
    ms_status status;
    ms_error *err;
} ms_config_reader;

/* A section of root; required = its absence is an error. */
ms_config_reader ms_config_section(const ms_json *root, const char *path, const char *section, bool required,
                                   ms_error *err);

/* A field that must be there is read with `required`; else `fallback` is what an
   absent (or null) field gives. */
int64_t ms_config_int(ms_config_reader *r, const char *key, bool required, int64_t fallback, int64_t min,
                      int64_t max);
double ms_config_number(ms_config_reader *r, const char *key, bool required, double fallback);
bool ms_config_bool(ms_config_reader *r, const char *key, bool fallback);

/* NULL when absent. */
const char *ms_config_string(ms_config_reader *r, const char *key, bool required);

/* Number of elements read into ret_list, at most capacity; a single number counts
   as a list of one. 0 when absent. */
int ms_config_ints(ms_config_reader *r, const char *key, bool required, int64_t min, int64_t max,
                   int64_t *ret_list, int capacity);
int ms_config_strings(ms_config_reader *r, const char *key, bool required, const char **ret_list,
                      int capacity);

/* Refuses a config that asks for something that is not there; value says what. */
void ms_config_refuse(ms_config_reader *r, const char *key, const char *why);

#endif
