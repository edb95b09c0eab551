#include "planner/run_latents.h"

#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "latents/latent_block.h"

static ms_status check_rank(const ms_run_params *run, int rank, ms_error *err) {
    if (run->latent_cache != MS_LATENT_CACHE_LOSSY)
        return MS_OK;
    if (rank <= 0 || rank >= 100)
        return ms_fail_hint(err, MS_INVALID_ARGUMENT, MS_HINT_LATENT_RANK,
                            "a lossy latent cache needs a rank from 1 to 99 (this machine's tier keeps all)");
    return MS_OK;
}

/* What the cache would be, with capacity for all it can come to see or as much as there is room for. */
static void size_up(const ms_run_latents_params *p, int rank, ms_latent_cache_params *c) {
    const ms_vae_config *vae = &p->files->vae_config_values;
    int64_t side = p->resolution / ms_vae_factor(vae);
    *c = (ms_latent_cache_params){.mem = p->compute.mem,
                                  .window_frames = p->files->unet_config.num_frames,
                                  .values = 2 * side * side * 2 * vae->latent_channels,
                                  .face_bytes = (size_t)p->resolution * (size_t)p->resolution * 3,
                                  .rank_percent = rank,
                                  .lossy = p->run->latent_cache == MS_LATENT_CACHE_LOSSY,
                                  .dir = p->run->latent_cache_dir,
                                  .stopped = p->run->cancelled,
                                  .arg = p->run->arg,
                                  .dir_bytes = p->run->latent_cache_bytes ? p->run->latent_cache_bytes
                                                                          : MS_RUN_LATENTS_DIR_BYTES};
    size_t fixed = ms_latent_cache_bytes(c);
    size_t most = MS_RUN_LATENTS_MOST_BYTES, room = p->room_bytes > fixed ? p->room_bytes - fixed : 0;
    if (p->clip_frames > 0) {
        size_t frame = (size_t)c->values * sizeof(float) + 1024;
        size_t clip = (size_t)p->clip_frames < most / frame ? (size_t)p->clip_frames * frame : most;
        most = clip < most ? clip : most;
    }
    c->capacity_bytes = most < room / 2 ? most : room / 2;
}

/* Why there is none; NULL = there is one. */
static const char *reason_against(const ms_run_latents_params *p, const ms_latent_cache_params *c) {
    if (p->run->latent_cache == MS_LATENT_CACHE_OFF)
        return "off";
    if (c->window_frames < 1 || c->window_frames > MS_LATENT_BLOCK_MAX_FRAMES)
        return "off";
    bool loops = p->run->loop != MS_LOOP_MODE_NONE && p->run->rest != MS_REST_KEEP &&
                 (p->clip_frames <= 0 || p->output_frames > p->clip_frames);
    if (!c->dir && !loops)
        return "no loop";
    if (ms_latent_cache_bytes(c) > p->room_bytes)
        return "no room";
    if (!c->dir && c->capacity_bytes < (size_t)c->values * sizeof(float))
        return "no room";
    return NULL;
}

size_t ms_run_latents_bytes(const ms_run_latents_params *p) {
    ms_latent_cache_params c;
    size_up(p, p->run->latent_rank ? p->run->latent_rank : p->tier_rank_percent, &c);
    return reason_against(p, &c) ? 0 : ms_latent_cache_bytes(&c);
}

ms_status ms_run_latents_open(const ms_run_latents_params *p, ms_run_latents *l, ms_error *err) {
    int rank = p->run->latent_rank ? p->run->latent_rank : p->tier_rank_percent;
    *l = (ms_run_latents){0};
    MS_TRY(check_rank(p->run, rank, err));
    ms_latent_cache_params c;
    size_up(p, rank, &c);
    l->state = reason_against(p, &c);
    if (l->state)
        return MS_OK;
    if (c.dir) {
        ms_latent_key_params key = {.compute = p->compute,
                                    .files = p->files,
                                    .precision = p->precision,
                                    .resolution = p->resolution,
                                    .lossy_rank = c.lossy ? rank : 0};
        MS_TRY(ms_latent_key_make(&key, c.model_key, err));
    }
    MS_TRY(ms_latent_cache_create(&c, &l->cache, err));
    l->params = c;
    l->bytes = ms_latent_cache_bytes(&c);
    l->state = c.dir ? "folder" : "memory";
    return MS_OK;
}

static void add(ms_latent_cache_stats *sum, const ms_latent_cache_stats *s) {
    bool first = sum->lossy_values == 0;
    sum->hits += s->hits;
    sum->misses += s->misses;
    sum->blocks += s->blocks;
    sum->dropped += s->dropped;
    sum->raw_bytes += s->raw_bytes;
    sum->stored_bytes += s->stored_bytes;
    sum->seconds += s->seconds;
    sum->squared_error += s->squared_error;
    if (s->lossy_values) {
        sum->low = first || s->low < sum->low ? s->low : sum->low;
        sum->high = first || s->high > sum->high ? s->high : sum->high;
    }
    sum->lossy_values += s->lossy_values;
}

static void give_up(ms_run_latents *l) {
    ms_latent_cache_stats stats;
    if (!l->cache)
        return;
    ms_latent_cache_get_stats(l->cache, &stats);
    add(&l->past, &stats);
    ms_latent_cache_destroy(&l->cache);
    l->bytes = 0;
}

void ms_run_latents_close(ms_run_latents *l) {
    give_up(l);
}

void ms_run_latents_follow(ms_run_latents *l, bool pressure) {
    if (pressure)
        give_up(l);
    else if (!l->cache && l->params.window_frames &&
             ms_latent_cache_create(&l->params, &l->cache, NULL) == MS_OK)
        l->bytes = ms_latent_cache_bytes(&l->params);
}

void ms_run_latents_fill_report(const ms_run_latents *l, ms_run_latents_report *r) {
    ms_latent_cache_stats all = l->past, now;
    if (l->cache) {
        ms_latent_cache_get_stats(l->cache, &now);
        add(&all, &now);
    }
    *r = (ms_run_latents_report){.lossy = l->params.lossy,
                                 .capacity_bytes = l->params.dir ? 0 : l->params.capacity_bytes,
                                 .hits = all.hits,
                                 .misses = all.misses,
                                 .blocks = all.blocks,
                                 .dropped = all.dropped,
                                 .raw_bytes = all.raw_bytes,
                                 .stored_bytes = all.stored_bytes,
                                 .psnr_db = ms_latent_cache_psnr_db(&all),
                                 .seconds = all.seconds};
    snprintf(r->state, sizeof(r->state), "%s", l->state ? l->state : "off");
}
