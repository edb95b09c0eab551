/* The policy that a run gets (docs/memory.md, "The profile"), told with where each of its values is from. */
#ifndef MEMSAFE_PROFILE_H
#define MEMSAFE_PROFILE_H

#include "memsafe/optimizer.h"
#include "memsafe/run.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef enum ms_profile_form {
    MS_PROFILE_TEXT, /* for people: the tier and why it is that one, then a line a field */
    /* {"tier", "tier_reason", "tier_source", "file", "fields": {name: {"value",
       "text", "source", "from"}}}. A value is a string for enumerations, a boolean,
       else a number in which 0 stands for the field's word ("auto"). */
    MS_PROFILE_JSON,
} ms_profile_form;

/*
 * The profile for a device of so much memory (ms_probe_device.nominal_bytes) and a
 * budget of the caller's; 0 = none. ret_text: to be freed with ms_mem_free().
 * MS_INVALID_ARGUMENT names the source, the field, the value and what is allowed; MS_IO:
 * the file; MS_UNSUPPORTED: a YAML file in a build without libyaml; MS_HOST_MEMORY.
 */
MS_API ms_status ms_profile_describe(const ms_profile_source *source, size_t device_bytes,
                                     size_t budget_bytes, ms_profile_form form, char **ret_text,
                                     ms_error *err);

/* The profile that an optimizer holds, likewise; text to be freed with ms_mem_free(). */
MS_API ms_status ms_profile_of_optimizer(const ms_optimizer *optimizer, ms_profile_form form, char **ret_text,
                                         ms_error *err);

/* The fields that there are as a table in Markdown: name, what is allowed, what it
   means. To be freed with ms_mem_free(). */
MS_API ms_status ms_profile_fields(char **ret_text, ms_error *err);

#ifdef __cplusplus
}
#endif
#endif
