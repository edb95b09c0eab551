/* Profiles, told. */
#include "memsafe/profile.h"

#include "base/error.h"
#include "planner/optimizer.h"

/* The buffer's text becomes the caller's. */
static ms_status give(ms_buf *text, char **ret_text, ms_error *err) {
    char *whole = text->failed ? NULL : ms_strdup(NULL, text->data ? text->data : "");
    ms_status status = whole ? MS_OK : ms_fail_alloc(err, NULL, text->length, "a text");
    ms_buf_free(text);
    if (whole)
        *ret_text = whole;
    return status;
}

static ms_status describe(const ms_profile *profile, ms_profile_form form, char **ret_text, ms_error *err) {
    char reason[MS_PROFILE_TEXT_BYTES];
    ms_buf text;
    ms_buf_init(&text, NULL);
    if (form == MS_PROFILE_JSON) {
        ms_profile_write_json(profile, &text);
    } else {
        ms_buf_printf(&text, "Tier\n  %s, because %s\nProfile\n", ms_tier_name(profile->tier),
                      ms_profile_tier_reason(profile, reason));
        ms_profile_write_text(profile, &text);
    }
    return give(&text, ret_text, err);
}

static ms_status check_form(ms_profile_form form, ms_error *err) {
    if (form != MS_PROFILE_TEXT && form != MS_PROFILE_JSON)
        return ms_fail(err, MS_INVALID_ARGUMENT, "form %d is none", (int)form);
    return MS_OK;
}

ms_status ms_profile_describe(const ms_profile_source *source, size_t device_bytes, size_t budget_bytes,
                              ms_profile_form form, char **ret_text, ms_error *err) {
    ms_profile profile;
    ms_error_clear(err);
    MS_NEED(source, err);
    MS_NEED(ret_text, err);
    if (!device_bytes)
        return ms_fail(err, MS_INVALID_ARGUMENT, "a device of 0 bytes has no profile");
    MS_TRY(check_form(form, err));
    ms_profile_params params = ms_profile_params_of(source);
    params.device_bytes = device_bytes;
    params.budget_bytes = budget_bytes;
    MS_TRY(ms_profile_load(&params, &profile, err));
    return describe(&profile, form, ret_text, err);
}

ms_status ms_profile_of_optimizer(const ms_optimizer *optimizer, ms_profile_form form, char **ret_text,
                                  ms_error *err) {
    ms_error_clear(err);
    MS_NEED(optimizer, err);
    MS_NEED(ret_text, err);
    MS_TRY(check_form(form, err));
    return describe(ms_optimizer_profile(optimizer), form, ret_text, err);
}

ms_status ms_profile_fields(char **ret_text, ms_error *err) {
    ms_buf text;
    ms_error_clear(err);
    MS_NEED(ret_text, err);
    ms_buf_init(&text, NULL);
    ms_profile_write_fields(&text);
    return give(&text, ret_text, err);
}
