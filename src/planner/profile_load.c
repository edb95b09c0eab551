/* Reading a profile's sources, the weakest first. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "formats/yaml/yaml.h"
#include "planner/profile.h"
#include "text/text.h"

#define TIER_KEY "profile"

typedef struct loader {
    const ms_profile_params *params;
    ms_profile *profile;
    ms_error *err;
} loader;

/* source: "MEMSAFE_VAE_TILING", "settings", "memsafe.yaml, line 3". */
static ms_status set_tier(loader *l, const char *source, const char *name, ms_origin origin) {
    char quoted[MS_QUOTE_BYTES];
    if (strcmp(name, "auto") == 0) { /* also takes back what a weaker source said */
        l->profile->tier_origin = (ms_origin){.kind = MS_ORIGIN_TIER};
        return MS_OK;
    }
    for (int t = 0; t < MS_TIER_COUNT; t++) {
        if (strcmp(name, ms_tier_name((ms_tier)t)) == 0) {
            l->profile->tier = (ms_tier)t;
            l->profile->tier_origin = origin;
            return MS_OK;
        }
    }
    return ms_fail(l->err, MS_INVALID_ARGUMENT,
                   "%s: %s: \"%s\" is no profile; allowed: auto compact standard professional datacenter",
                   source, TIER_KEY, ms_quote(quoted, name, strlen(name)));
}

static ms_status set_field(loader *l, const char *source, int id, const char *text, ms_origin origin) {
    const ms_profile_field *f = ms_profile_get_field((ms_field_id)id);
    char quoted[MS_QUOTE_BYTES], allowed[MS_PROFILE_TEXT_BYTES];
    if (!ms_profile_parse(f, text, &l->profile->value[id]))
        return ms_fail(l->err, MS_INVALID_ARGUMENT, "%s: %s: \"%s\" is not possible; allowed: %s", source,
                       f->name, ms_quote(quoted, text, strlen(text)), ms_profile_allowed_text(f, allowed));
    l->profile->origin[id] = origin;
    return MS_OK;
}

static ms_status unknown_field(loader *l, const char *source, const char *name, size_t length) {
    char quoted[MS_QUOTE_BYTES], known[MS_FIELD_COUNT * 32] = "";
    size_t used = 0;
    for (int i = 0; i < MS_FIELD_COUNT; i++)
        used += (size_t)snprintf(known + used, sizeof(known) - used, " %s",
                                 ms_profile_get_field((ms_field_id)i)->name);
    return ms_fail(l->err, MS_INVALID_ARGUMENT, "%s: \"%s\" is no field of a profile; there are%s", source,
                   ms_quote(quoted, name, length), known);
}

/* ---- the file ---- */

/* A scalar as it would be written on a command line; false for what is none. `off` is a boolean in YAML. */
static bool scalar_text(const ms_json *node, char ret_text[MS_PROFILE_TEXT_BYTES]) {
    int n = -1;
    if (node->type == MS_JSON_STRING)
        n = snprintf(ret_text, MS_PROFILE_TEXT_BYTES, "%s", node->string);
    else if (node->type == MS_JSON_BOOL)
        n = snprintf(ret_text, MS_PROFILE_TEXT_BYTES, "%s", node->boolean ? "on" : "off");
    else if (node->type == MS_JSON_NUMBER && node->is_integer)
        n = snprintf(ret_text, MS_PROFILE_TEXT_BYTES, "%lld", (long long)node->integer);
    else if (node->type == MS_JSON_NUMBER)
        n = snprintf(ret_text, MS_PROFILE_TEXT_BYTES, "%g", node->number);
    return n >= 0 && n < MS_PROFILE_TEXT_BYTES;
}

static ms_status read_member(loader *l, const ms_json *node) {
    char text[MS_PROFILE_TEXT_BYTES], source[MS_PROFILE_TEXT_BYTES];
    ms_origin origin = {.kind = MS_ORIGIN_FILE, .line = node->line};
    int id = ms_profile_find_field(node->key);
    bool is_tier = strcmp(node->key, TIER_KEY) == 0;
    snprintf(source, sizeof(source), "%.120s, line %d", l->profile->file, node->line);
    if (id < 0 && !is_tier)
        return unknown_field(l, source, node->key, strlen(node->key));
    if (!scalar_text(node, text))
        return ms_fail(l->err, MS_INVALID_ARGUMENT, "%s: %s must be one value", source, node->key);
    return is_tier ? set_tier(l, source, text, origin) : set_field(l, source, id, text, origin);
}

static ms_status read_file(loader *l) {
    const ms_profile_params *p = l->params;
    ms_json_doc *doc = NULL;
    if (!p->file || (p->file_optional && access(p->file, F_OK) != 0 && errno == ENOENT))
        return MS_OK;
    if (snprintf(l->profile->file, sizeof(l->profile->file), "%s", p->file) >= (int)sizeof(l->profile->file))
        return ms_fail(l->err, MS_INVALID_ARGUMENT, "the profile file's path is too long");
    ms_status status = ms_config_load(p->mem, p->file, &doc, l->err);
    if (status == MS_BAD_MODEL) { /* what that reader calls a file that does not parse */
        status = MS_INVALID_ARGUMENT;
        if (l->err)
            l->err->code = status;
    }
    MS_TRY(status);
    const ms_json *root = ms_json_root(doc);
    if (root->type != MS_JSON_OBJECT)
        status = ms_fail(l->err, MS_INVALID_ARGUMENT, "%s: is no mapping from fields to values", p->file);
    for (const ms_json *node = root->child; node && status == MS_OK; node = node->next)
        status = read_member(l, node);
    ms_json_doc_destroy(&doc);
    return status;
}

/* ---- variables and flags ---- */

static ms_status read_environment(loader *l) {
    const ms_origin origin = {.kind = MS_ORIGIN_VARIABLE};
    char name[MS_PROFILE_TEXT_BYTES];
    const char *text = getenv(ms_profile_variable(TIER_KEY, name));
    if (text && *text)
        MS_TRY(set_tier(l, name, text, origin));
    for (int i = 0; i < MS_FIELD_COUNT; i++) {
        text = getenv(ms_profile_variable(ms_profile_get_field((ms_field_id)i)->name, name));
        if (text && *text)
            MS_TRY(set_field(l, name, i, text, origin));
    }
    return MS_OK;
}

static ms_status read_setting(loader *l, const char *setting) {
    const ms_origin origin = {.kind = MS_ORIGIN_FLAG};
    const char *source = l->profile->settings_called;
    char name[64], quoted[MS_QUOTE_BYTES];
    size_t length = strcspn(setting, "=");
    if (!setting[length])
        return ms_fail(l->err, MS_INVALID_ARGUMENT, "%s: \"%s\" is not of the form field=value", source,
                       ms_quote(quoted, setting, length));
    int n =
        snprintf(name, sizeof(name), "%.*s", (int)(length < sizeof(name) ? length : sizeof(name)), setting);
    int id = (size_t)n < sizeof(name) ? ms_profile_find_field(name) : -1;
    return id < 0 ? unknown_field(l, source, setting, length)
                  : set_field(l, source, id, setting + length + 1, origin);
}

static void set_budget(loader *l, ms_field_id id, size_t bytes) {
    if (!bytes)
        return;
    l->profile->value[id] = bytes > INT64_MAX ? INT64_MAX : (int64_t)bytes;
    l->profile->origin[id] = (ms_origin){.kind = MS_ORIGIN_FLAG};
}

static ms_status read_flags(loader *l) {
    const ms_profile_params *p = l->params;
    if (p->tier)
        MS_TRY(set_tier(l, l->profile->tier_called, p->tier, (ms_origin){.kind = MS_ORIGIN_FLAG}));
    if (p->n_settings < 0 || (p->n_settings > 0 && !p->settings))
        return ms_fail(l->err, MS_INVALID_ARGUMENT, "%d settings of a profile%s", p->n_settings,
                       p->settings ? "" : ", and none is given");
    for (int i = 0; i < p->n_settings; i++) {
        if (!p->settings[i])
            return ms_fail(l->err, MS_INVALID_ARGUMENT, "setting %d of a profile is NULL", i);
        MS_TRY(read_setting(l, p->settings[i]));
    }
    set_budget(l, MS_FIELD_BUDGET, p->budget_bytes);
    set_budget(l, MS_FIELD_HOST_BUDGET, p->host_budget_bytes);
    return MS_OK;
}

/* ---- the tier ---- */

static int64_t tier_value(ms_field_id id, const ms_tier_policy *t, ms_dtype precision) {
    switch (id) {
    case MS_FIELD_PRECISION:
        return precision;
    case MS_FIELD_FACE_PROCESSING_BATCH:
        return t->face_processing_batch;
    case MS_FIELD_VAE_DECODE_BATCH:
        return t->vae_decode_batch;
    case MS_FIELD_WEIGHT_OFFLOAD:
        return t->weight_offload;
    case MS_FIELD_ATTENTION_SLICES:
        return t->attention_slices;
    case MS_FIELD_VAE_TILING:
        return t->vae_tiling;
    case MS_FIELD_DEVICE_GRAPHS:
        return t->device_graphs;
    case MS_FIELD_PREALLOCATED_OUTPUTS:
        return t->preallocated_outputs;
    case MS_FIELD_SVD_RANK:
        return t->svd_rank_percent;
    case MS_FIELD_GRADIENT_CHECKPOINTING:
        return t->gradient_checkpointing;
    case MS_FIELD_CLEAN_UP_FRAMES:
        return t->clean_up_frames;
    case MS_FIELD_SAFETY_MARGIN:
        return t->safety_margin_percent;
    case MS_FIELD_BUDGET: /* auto: the planner's business */
    case MS_FIELD_HOST_BUDGET:
    case MS_FIELD_FACE_DETECTION_BATCH:
    case MS_FIELD_VAE_ENCODE_BATCH:
    case MS_FIELD_UNET_INFERENCE_BATCH:
    case MS_FIELD_LATENT_PROCESSING_BATCH:
    case MS_FIELD_COUNT:
        break;
    }
    return 0;
}

static void fill_from_tier(ms_profile *p, bool device_has_bf16) {
    int64_t budget = p->value[MS_FIELD_BUDGET];
    if (p->tier_origin.kind == MS_ORIGIN_TIER)
        p->tier = ms_tier_of(budget ? (size_t)budget : p->device_bytes);
    ms_dtype precision = ms_tier_precision(p->tier, device_has_bf16);
    for (int i = 0; i < MS_FIELD_COUNT; i++)
        if (!ms_profile_is_set(p, (ms_field_id)i))
            p->value[i] = tier_value((ms_field_id)i, ms_tier_get_policy(p->tier), precision);
}

ms_profile_params ms_profile_params_of(const ms_profile_source *source) {
    return (ms_profile_params){.tier = source->tier,
                               .file = source->file,
                               .file_optional = source->file_optional,
                               .environment = source->environment,
                               .settings = source->settings,
                               .n_settings = source->n_settings,
                               .tier_called = source->tier_called,
                               .settings_called = source->settings_called};
}

ms_status ms_profile_load(const ms_profile_params *params, ms_profile *ret_profile, ms_error *err) {
    ms_profile p = {.device_bytes = params->device_bytes};
    loader l = {.params = params, .profile = &p, .err = err};
    snprintf(p.tier_called, sizeof(p.tier_called), "%s", params->tier_called ? params->tier_called : "tier");
    snprintf(p.settings_called, sizeof(p.settings_called), "%s",
             params->settings_called ? params->settings_called : "settings");
    MS_TRY(read_file(&l));
    if (params->environment)
        MS_TRY(read_environment(&l));
    MS_TRY(read_flags(&l));
    fill_from_tier(&p, params->device_has_bf16);
    *ret_profile = p;
    return MS_OK;
}
