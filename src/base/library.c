#include "memsafe/library.h"
#include "memsafe_have.h"

#include <stddef.h>

#include "memsafe/version.h"

#define MS_HAVE_PLUGINS 1 /* they need the system's loader alone, which every build has */

const char *ms_version(void) {
    return MS_VERSION_TEXT;
}

int ms_version_number(void) {
    return MS_VERSION_NUMBER;
}

bool ms_has_feature(ms_feature feature) {
    static const struct {
        ms_feature feature;
        bool there;
    } features[] = {
#define X(name, value, text) {MS_FEATURE_##name, MS_HAVE_##name},
        MS_FEATURE_MAP(X)
#undef X
    };
    for (size_t i = 0; i < sizeof(features) / sizeof(features[0]); i++)
        if (features[i].feature == feature)
            return features[i].there;
    return false;
}

const char *ms_feature_name(ms_feature feature) {
    switch (feature) {
#define X(name, value, text)                                                                                 \
    case MS_FEATURE_##name:                                                                                  \
        return text;
        MS_FEATURE_MAP(X)
#undef X
    }
    return NULL;
}
