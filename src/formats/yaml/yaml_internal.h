/* The parts of the config reader. */
#ifndef MS_FORMATS_YAML_YAML_INTERNAL_H
#define MS_FORMATS_YAML_YAML_INTERNAL_H

#include "formats/yaml/yaml.h"

/* As ms_config_load, of a text that is in memory; name stands for the path. */
ms_status ms_config_parse(ms_mem *mem, const char *name, const char *text, size_t length,
                          ms_json_doc **ret_doc, ms_error *err);

/* One YAML document to a tree, with libyaml. MS_BAD_MODEL with the line, without the path. */
ms_status ms_yaml_parse(ms_mem *mem, const char *text, size_t length, ms_json_doc **ret_doc, ms_error *err);

/* What a plain (unquoted) scalar means: sets type and value of node (for a string only the type). Returns
   what is wrong with it, NULL when nothing is. */
const char *ms_yaml_resolve(const char *text, size_t length, ms_json *node);

#endif
