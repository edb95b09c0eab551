#include "world/person.h"

#define HEX(rgb)                                                                                             \
    { (float)((rgb) >> 16 & 255) / 255, (float)((rgb) >> 8 & 255) / 255, (float)((rgb)&255) / 255 }

static const w_rgb skins[] = {HEX(0xf6d9c6), HEX(0xf0c8ac), HEX(0xe8b892), HEX(0xd9a077),
                              HEX(0xc48859), HEX(0xa56b42), HEX(0x805033), HEX(0x603a27)};
static const w_rgb hairs[] = {HEX(0x1c1715), HEX(0x2d211b), HEX(0x4a3224), HEX(0x6d482c),
                              HEX(0x94663a), HEX(0xc49a5c), HEX(0x8e4527), HEX(0x9a9794)};
static const w_rgb irises[] = {HEX(0x4b2f1c), HEX(0x6b4a2a), HEX(0x5c7088), HEX(0x4f7a94), HEX(0x5e7a52)};
static const w_rgb cloths[] = {HEX(0x2f4157), HEX(0x6a2e35), HEX(0x3c5a48), HEX(0xe4e0d8),
                               HEX(0x24262b), HEX(0xb58a4a), HEX(0x5b6f8f), HEX(0x8a5a78)};
static const w_rgb walls[] = {HEX(0xb9c4cc), HEX(0xc9bfae), HEX(0x8fa3a0), HEX(0x5f6c7b),
                              HEX(0xd8d2c8), HEX(0x7a6a5e), HEX(0xa7b39b), HEX(0x47505c)};
static const w_rgb frames[] = {HEX(0x1d1b1c), HEX(0x5a3420), HEX(0x8a8d92), HEX(0x27364d)};

static w_rgb pick_rgb(w_dice *dice, const w_rgb *from, int count) {
    return from[w_pick(dice, count)];
}

#define PICK(dice, from) pick_rgb(dice, from, (int)(sizeof(from) / sizeof((from)[0])))

/* From one range to another as t goes from 0 to 1. Here and elsewhere an expression rolls once only: C leaves
   the order of two rolls in one expression to the compiler. */
static float roll_between(w_dice *dice, float low_a, float high_a, float low_b, float high_b, float t) {
    return w_roll(dice, w_mix(low_a, low_b, t), w_mix(high_a, high_b, t));
}

static void choose_face(w_person *p, w_dice *d, float soft) {
    p->cheek = w_roll(d, 0.96f, 1.03f);
    p->jaw = roll_between(d, 0.80f, 0.88f, 0.72f, 0.79f, soft);
    p->chin_width = roll_between(d, 0.33f, 0.40f, 0.26f, 0.32f, soft);
    p->chin = roll_between(d, 1.52f, 1.62f, 1.46f, 1.54f, soft);
    p->forehead = w_roll(d, 1.28f, 1.38f);
    p->eye_gap = w_roll(d, 0.42f, 0.46f);
    p->eye_width = w_roll(d, 0.20f, 0.23f);
    p->eye_height = w_roll(d, 0.085f, 0.11f) + 0.012f * soft;
    p->eye_tilt = w_roll(d, -0.01f, 0.03f);
    p->brow_height = w_roll(d, 0.24f, 0.28f) + 0.02f * soft;
    p->brow_arch = w_roll(d, 0.02f, 0.06f) + 0.02f * soft;
    p->brow_thick = roll_between(d, 0.075f, 0.11f, 0.045f, 0.07f, soft);
    p->brow_tilt = w_roll(d, -0.03f, 0.02f);
    p->nose_width = roll_between(d, 0.21f, 0.26f, 0.17f, 0.21f, soft);
    p->nose_length = w_roll(d, 0.60f, 0.68f);
    p->lips = roll_between(d, 0.075f, 0.10f, 0.095f, 0.13f, soft);
    p->mouth_width = w_roll(d, 0.33f, 0.38f);
    p->mouth_row = p->nose_length + w_roll(d, 0.33f, 0.37f);
    p->lash = w_mix(0.25f, w_roll(d, 0.6f, 1), soft);
    p->age = w_roll(d, 0, 1);
    p->age *= w_roll(d, 0.3f, 1);
}

static void choose_colours(w_person *p, w_dice *d, float soft) {
    int tone = w_pick(d, 7);
    p->skin = w_mix_rgb(skins[tone], skins[tone + 1], w_roll(d, 0, 1));
    p->shade = w_tint(p->skin, 0.66f, 0.53f, 0.48f);
    p->shine = w_mix_rgb(p->skin, (w_rgb){1, 0.96f, 0.9f}, tone < 4 ? 0.55f : 0.4f);
    p->blush = w_mix_rgb(p->skin, (w_rgb){0.78f, 0.28f, 0.26f}, 0.5f);
    int dark = tone >= 4;
    w_rgb first = hairs[w_pick(d, dark ? 3 : 8)], second = hairs[w_pick(d, dark ? 2 : 5)];
    p->hair = w_mix_rgb(first, second, w_roll(d, 0, 0.35f));
    p->brow = w_mix_rgb(w_tint(p->hair, 0.75f, 0.72f, 0.7f), p->shade, 0.2f);
    p->iris = irises[w_pick(d, dark ? 2 : 5)];
    w_rgb rose = {0.74f, 0.30f, 0.32f};
    p->lip = w_mix_rgb(w_tint(p->skin, 0.86f, 0.62f, 0.60f), rose, 0.15f + 0.35f * soft * w_roll(d, 0, 1));
    p->cloth = PICK(d, cloths);
    p->wall = PICK(d, walls);
    p->accent = PICK(d, cloths);
    p->frame = PICK(d, frames);
}

static void choose_style(w_person *p, w_dice *d, float soft) {
    static const w_hair_style short_ones[] = {W_HAIR_CROP,  W_HAIR_PARTED, W_HAIR_CROP,
                                              W_HAIR_CURLY, W_HAIR_SHAVED, W_HAIR_PARTED};
    static const w_hair_style long_ones[] = {W_HAIR_BOB, W_HAIR_LONG, W_HAIR_TIED, W_HAIR_LONG, W_HAIR_CURLY};
    p->hair_style = soft > 0.5f ? long_ones[w_pick(d, 5)] : short_ones[w_pick(d, 6)];
    p->hair_volume = w_roll(d, 0.8f, 1.15f);
    p->part = w_chance(d, 0.5f) ? w_roll(d, 0.3f, 0.6f) : w_roll(d, -0.6f, -0.3f);
    int beard = w_pick(d, 6);
    p->beard = soft > 0.4f || beard > 3 ? W_BEARD_NONE : (w_beard)beard;
    p->glasses =
        w_chance(d, 0.3f) ? (w_chance(d, 0.5f) ? W_GLASSES_ROUND : W_GLASSES_SQUARE) : W_GLASSES_NONE;
    p->scene = (w_scene)w_pick(d, W_SCENES);
    p->collar = w_pick(d, 3);
}

void w_person_init(w_person *p, uint64_t seed) {
    w_dice dice = {seed, W_STREAM_PERSON, 0, 0};
    /* One number that jaw, lips, hair and voice lean on, so that they go together;
       most people are near an end. */
    float soft = w_smooth(0.3f, 0.7f, w_roll(&dice, 0, 1));
    *p = (w_person){.seed = seed};
    choose_face(p, &dice, soft);
    choose_colours(p, &dice, soft);
    choose_style(p, &dice, soft);
    p->light = w_roll(&dice, -1, 1);
    p->grain = w_roll(&dice, 0.002f, 0.012f);
    p->size = w_roll(&dice, 0.195f, 0.225f);
    p->voice_turn = w_clamp(soft * 2 - 1 + w_roll(&dice, -0.3f, 0.3f), -1, 1);
}
