/*
 * Config files: YAML with libyaml when the build has it, JSON always (a JSON text is valid YAML). Both
 * become the tree of text/json.h. Plain scalars are understood as OmegaConf does, that is by YAML 1.1 with
 * its rule for floats: 1e-5, 1.0e-05, 1_000 and 0x10 are numbers, true/false/yes/no/on/off in lower, upper
 * or title case are booleans, null, ~ and nothing are null; quoted text is always a string. Refused, because
 * they would mean something else in some reader or nothing here: anchors, aliases, tags, merge keys, base-60
 * numbers (1:30), infinities, a name twice in one mapping, names that are no plain text, several documents.
 */
#ifndef MS_FORMATS_YAML_YAML_H
#define MS_FORMATS_YAML_YAML_H

#include "text/json.h"

#define MS_CONFIG_MAX_BYTES ((size_t)1 << 20)

/* MS_IO when the file cannot be read, MS_BAD_MODEL with file and line when it does not parse, MS_UNSUPPORTED
   when it is no JSON and the build has no libyaml. */
ms_status ms_config_load(ms_mem *mem, const char *path, ms_json_doc **ret_doc, ms_error *err);

#endif
