/* What the reader and the tree share. Nothing else includes it. */
#ifndef MS_TEXT_JSON_TREE_H
#define MS_TEXT_JSON_TREE_H

#include "text/json.h"
#include "text/strmap.h"

struct ms_json_doc {
    ms_region region;
    ms_json *root;
    size_t values;
};

/* As ms_json_append, with a key that is in the document's region already. */
ms_json *ms_json_tree_add(ms_json_doc *doc, ms_json *parent, const char *key, ms_json_type type);

#endif
