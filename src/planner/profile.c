#include "planner/profile.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "text/size.h"

#define MAX_BATCH 1024
#define CHOICES(text) .type = MS_FIELD_ENUM, .choices = text
#define INTS(from, to) .type = MS_FIELD_INT, .min = from, .max = to
#define PERCENTS(from, to) .type = MS_FIELD_PERCENT, .min = from, .max = to
#define BYTES .type = MS_FIELD_BYTES, .min = 1 << 20, .max = INT64_MAX, .zero = "auto"
#define ONE_FRAME "frames pass one at a time, each on all threads"
#define BOOLEAN .type = MS_FIELD_BOOL

_Static_assert(MS_F32 == 0 && MS_F16 == 1 && MS_BF16 == 2, "the choices of `precision` are in this order");

static const ms_profile_field fields[MS_FIELD_COUNT] = {
    [MS_FIELD_BUDGET] = {"budget", BYTES,
                         .help =
                             "memory of the device that a run may take; auto: what is free less the margin"},
    [MS_FIELD_HOST_BUDGET] = {"host_budget", BYTES,
                              .help = "likewise of the host; on the CPU the lesser of the two holds"},
    [MS_FIELD_PRECISION] = {"precision", CHOICES("fp32|fp16|bf16"),
                            .help = "how weights are stored, and what the device computes in"},
    [MS_FIELD_FACE_DETECTION_BATCH] = {"face_detection_batch", INTS(1, MAX_BATCH), .zero = "auto",
                                       .help = "most frames at a time; auto: from memory",
                                       .on_cpu = ONE_FRAME},
    [MS_FIELD_FACE_PROCESSING_BATCH] = {"face_processing_batch", INTS(1, MAX_BATCH),
                                        .help = "most frames at a time in alignment and paste-back",
                                        .on_cpu = ONE_FRAME},
    [MS_FIELD_VAE_ENCODE_BATCH] = {"vae_encode_batch", INTS(1, MAX_BATCH), .zero = "auto",
                                   .help = "most pictures at a time; auto: from memory"},
    [MS_FIELD_VAE_DECODE_BATCH] = {"vae_decode_batch", INTS(1, MAX_BATCH), .help = "most pictures at a time"},
    [MS_FIELD_UNET_INFERENCE_BATCH] = {"unet_inference_batch", INTS(1, MAX_BATCH), .zero = "auto",
                                       .help = "most frames of a window at a time; auto: from memory"},
    [MS_FIELD_LATENT_PROCESSING_BATCH] = {"latent_processing_batch", INTS(1, MAX_BATCH), .zero = "auto",
                                          .help = "most frames at a time; auto: from memory",
                                          .on_cpu = "a window at a time, in place"},
    [MS_FIELD_WEIGHT_OFFLOAD] = {"weight_offload", CHOICES("off|under_pressure|allowed"),
                                 .help = "whether weights may be streamed from host memory or from disk"},
    [MS_FIELD_ATTENTION_SLICES] = {"attention_slices", INTS(1, 64), .zero = "off",
                                   .help = "parts that attention is computed in"},
    [MS_FIELD_VAE_TILING] = {"vae_tiling", CHOICES("off|by_need|by_need_large|on"),
                             .help = "pictures in parts through the VAE; by_need_large: in as few as fit"},
    [MS_FIELD_DEVICE_GRAPHS] = {"device_graphs", BOOLEAN,
                                .help = "capture a network once and launch it again (CUDA graphs)",
                                .on_cpu = "there is nothing to capture"},
    [MS_FIELD_PREALLOCATED_OUTPUTS] =
        {"preallocated_outputs", BOOLEAN,
         .help = "keep the host's buffers for what the device gives from window to window",
         .on_cpu = "always kept"},
    [MS_FIELD_SVD_RANK] = {"svd_rank", PERCENTS(1, 100), .zero = "none",
                           .help = "rank that the latent cache keeps; none: it does not compress"},
    [MS_FIELD_GRADIENT_CHECKPOINTING] = {"gradient_checkpointing", BOOLEAN,
                                         .help = "training: recompute activations in place of keeping them"},
    [MS_FIELD_CLEAN_UP_FRAMES] = {"clean_up_frames", INTS(1, 1000000), .zero = "on_pressure",
                                  .help = "frames from one clean-up of caches to the next"},
    [MS_FIELD_SAFETY_MARGIN] = {"safety_margin", PERCENTS(0, 90),
                                .help = "part of the free memory that is left alone"},
};

const ms_profile_field *ms_profile_get_field(ms_field_id id) {
    return &fields[id];
}

int ms_profile_find_field(const char *name) {
    for (int i = 0; i < MS_FIELD_COUNT; i++)
        if (strcmp(fields[i].name, name) == 0)
            return i;
    return -1;
}

/* ---- values as text ---- */

/* Index of text among "a|b|c", -1 when it is none of them. */
static int choice_index(const char *choices, const char *text) {
    size_t length = strlen(text);
    int index = 0;
    for (const char *at = choices; *at; index++) {
        size_t n = strcspn(at, "|");
        if (n == length && strncmp(at, text, n) == 0)
            return index;
        at += n + (at[n] == '|');
    }
    return -1;
}

static bool parse_int(const char *text, bool percent, int64_t *ret_value) {
    int64_t value = 0;
    int digits = 0;
    for (; isdigit((unsigned char)*text) && digits < 10; text++, digits++)
        value = value * 10 + (*text - '0');
    if (percent && digits && *text == '%')
        text++;
    if (!digits || *text)
        return false;
    *ret_value = value;
    return true;
}

static bool parse_bool(const char *text, int64_t *ret_value) {
    int index = choice_index("off|on|false|true|no|yes", text);
    if (index < 0)
        return false;
    *ret_value = index % 2;
    return true;
}

bool ms_profile_parse(const ms_profile_field *f, const char *text, int64_t *ret_value) {
    int64_t value = 0;
    uint64_t bytes;
    bool ok = false;
    if (f->zero && strcmp(text, f->zero) == 0) {
        *ret_value = 0;
        return true;
    }
    switch (f->type) {
    case MS_FIELD_ENUM:
        value = choice_index(f->choices, text);
        ok = value >= 0;
        break;
    case MS_FIELD_BOOL:
        ok = parse_bool(text, &value);
        break;
    case MS_FIELD_INT:
    case MS_FIELD_PERCENT:
        ok = parse_int(text, f->type == MS_FIELD_PERCENT, &value) &&
             ((value >= f->min && value <= f->max) || (value == 0 && f->zero));
        break;
    case MS_FIELD_BYTES:
        ok = ms_size_parse(text, &bytes);
        value = ok ? (int64_t)bytes : 0;
        ok = ok && (value >= f->min || value == 0);
        break;
    }
    if (ok)
        *ret_value = value;
    return ok;
}

const char *ms_profile_value_text(const ms_profile_field *f, int64_t value,
                                  char ret_text[MS_PROFILE_TEXT_BYTES]) {
    char size[MS_SIZE_TEXT_BYTES];
    const char *at = f->choices;
    if (f->zero && value == 0) {
        snprintf(ret_text, MS_PROFILE_TEXT_BYTES, "%s", f->zero);
        return ret_text;
    }
    switch (f->type) {
    case MS_FIELD_ENUM:
        for (; value > 0; value--)
            at += strcspn(at, "|") + 1;
        snprintf(ret_text, MS_PROFILE_TEXT_BYTES, "%.*s", (int)strcspn(at, "|"), at);
        break;
    case MS_FIELD_BOOL:
        snprintf(ret_text, MS_PROFILE_TEXT_BYTES, "%s", value ? "on" : "off");
        break;
    case MS_FIELD_INT:
    case MS_FIELD_PERCENT:
        snprintf(ret_text, MS_PROFILE_TEXT_BYTES, "%lld%s", (long long)value,
                 f->type == MS_FIELD_PERCENT ? "%" : "");
        break;
    case MS_FIELD_BYTES:
        snprintf(ret_text, MS_PROFILE_TEXT_BYTES, "%s", ms_size_format(size, (uint64_t)value));
        break;
    }
    return ret_text;
}

const char *ms_profile_allowed_text(const ms_profile_field *f, char ret_text[MS_PROFILE_TEXT_BYTES]) {
    char zero[32] = "";
    if (f->zero)
        snprintf(zero, sizeof(zero), "%s or ", f->zero);
    switch (f->type) {
    case MS_FIELD_ENUM:
        snprintf(ret_text, MS_PROFILE_TEXT_BYTES, "%s", f->choices);
        for (char *bar = ret_text; (bar = strchr(bar, '|'));)
            *bar = ' ';
        break;
    case MS_FIELD_BOOL:
        snprintf(ret_text, MS_PROFILE_TEXT_BYTES, "on off");
        break;
    case MS_FIELD_INT:
    case MS_FIELD_PERCENT:
        snprintf(ret_text, MS_PROFILE_TEXT_BYTES, "%s%lld to %lld%s", zero, (long long)f->min,
                 (long long)f->max, f->type == MS_FIELD_PERCENT ? "%" : "");
        break;
    case MS_FIELD_BYTES:
        snprintf(ret_text, MS_PROFILE_TEXT_BYTES, "%s%s from 1M on", zero, MS_SIZE_EXAMPLES);
        break;
    }
    return ret_text;
}

const char *ms_profile_variable(const char *name, char ret_text[MS_PROFILE_TEXT_BYTES]) {
    size_t n = (size_t)snprintf(ret_text, MS_PROFILE_TEXT_BYTES, "MEMSAFE_%s", name);
    for (size_t i = 0; i < n; i++)
        ret_text[i] = (char)toupper((unsigned char)ret_text[i]);
    return ret_text;
}

/* ---- whole profiles ---- */

static const char *origin_text(const ms_profile *p, const char *name, ms_origin origin, const char *called,
                               char ret_text[MS_PROFILE_TEXT_BYTES]) {
    switch (origin.kind) {
    case MS_ORIGIN_TIER:
        snprintf(ret_text, MS_PROFILE_TEXT_BYTES, "tier %s", ms_tier_name(p->tier));
        break;
    case MS_ORIGIN_FILE:
        snprintf(ret_text, MS_PROFILE_TEXT_BYTES, "%.120s, line %d", p->file, origin.line);
        break;
    case MS_ORIGIN_VARIABLE:
        return ms_profile_variable(name, ret_text);
    case MS_ORIGIN_FLAG:
        snprintf(ret_text, MS_PROFILE_TEXT_BYTES, "%s", called);
        break;
    }
    return ret_text;
}

const char *ms_profile_origin_text(const ms_profile *p, ms_field_id id,
                                   char ret_text[MS_PROFILE_TEXT_BYTES]) {
    return origin_text(p, fields[id].name, p->origin[id], p->settings_called, ret_text);
}

const char *ms_profile_tier_reason(const ms_profile *p, char ret_text[MS_PROFILE_TEXT_BYTES]) {
    char text[MS_PROFILE_TEXT_BYTES], size[MS_SIZE_TEXT_BYTES];
    if (p->tier_origin.kind != MS_ORIGIN_TIER)
        snprintf(ret_text, MS_PROFILE_TEXT_BYTES, "%.140s says so",
                 origin_text(p, "profile", p->tier_origin, p->tier_called, text));
    else if (p->value[MS_FIELD_BUDGET])
        snprintf(ret_text, MS_PROFILE_TEXT_BYTES, "the budget is %s",
                 ms_size_format(size, (uint64_t)p->value[MS_FIELD_BUDGET]));
    else
        snprintf(ret_text, MS_PROFILE_TEXT_BYTES, "the device has %s", ms_size_format(size, p->device_bytes));
    return ret_text;
}

void ms_profile_write_text(const ms_profile *p, ms_buf *out) {
    char value[MS_PROFILE_TEXT_BYTES], from[MS_PROFILE_TEXT_BYTES];
    for (int i = 0; i < MS_FIELD_COUNT; i++)
        ms_buf_printf(out, "  %-24s %-16s %s%s%s\n", fields[i].name,
                      ms_profile_value_text(&fields[i], p->value[i], value),
                      ms_profile_origin_text(p, (ms_field_id)i, from),
                      fields[i].on_cpu ? "; not on the CPU: " : "", fields[i].on_cpu ? fields[i].on_cpu : "");
}

static const char *origin_name(ms_origin_kind kind) {
    static const char *const names[] = {"tier", "file", "variable", "flag"};
    return names[kind];
}

static void write_field(const ms_profile *p, ms_field_id id, ms_buf *out) {
    const ms_profile_field *f = &fields[id];
    char text[MS_PROFILE_TEXT_BYTES], from[MS_PROFILE_TEXT_BYTES];
    ms_profile_value_text(f, p->value[id], text);
    ms_buf_printf(out, "%s\"%s\": {\"value\": ", id ? ", " : "", f->name);
    if (f->type == MS_FIELD_ENUM)
        ms_buf_json_string(out, text);
    else if (f->type == MS_FIELD_BOOL)
        ms_buf_printf(out, "%s", p->value[id] ? "true" : "false");
    else
        ms_buf_printf(out, "%lld", (long long)p->value[id]);
    ms_buf_printf(out, ", \"text\": ");
    ms_buf_json_string(out, text);
    ms_buf_printf(out, ", \"source\": \"%s\", \"from\": ", origin_name(p->origin[id].kind));
    ms_buf_json_string(out, ms_profile_origin_text(p, id, from));
    ms_buf_printf(out, "}");
}

void ms_profile_write_json(const ms_profile *p, ms_buf *out) {
    char reason[MS_PROFILE_TEXT_BYTES];
    ms_buf_printf(out, "{\"tier\": \"%s\", \"tier_reason\": ", ms_tier_name(p->tier));
    ms_buf_json_string(out, ms_profile_tier_reason(p, reason));
    ms_buf_printf(out, ", \"tier_source\": \"%s\", \"file\": ",
                  p->tier_origin.kind == MS_ORIGIN_TIER ? "memory" : origin_name(p->tier_origin.kind));
    if (p->file[0])
        ms_buf_json_string(out, p->file);
    else
        ms_buf_printf(out, "null");
    ms_buf_printf(out, ", \"fields\": {");
    for (int i = 0; i < MS_FIELD_COUNT; i++)
        write_field(p, (ms_field_id)i, out);
    ms_buf_printf(out, "}}");
}

void ms_profile_write_fields(ms_buf *out) {
    char allowed[MS_PROFILE_TEXT_BYTES];
    ms_buf_printf(out, "| field | values | meaning | on the CPU |\n|---|---|---|---|\n");
    for (int i = 0; i < MS_FIELD_COUNT; i++)
        ms_buf_printf(out, "| `%s` | %s | %s | %s |\n", fields[i].name,
                      ms_profile_allowed_text(&fields[i], allowed), fields[i].help,
                      fields[i].on_cpu ? fields[i].on_cpu : "yes");
}
