/*
 * The networks on emulated cards against the official implementation's outputs. In float32 within the
 * processor's tolerances; in 16 bits within a few roundings: 2^-11 of fp16 and 2^-8 of bf16, relative, of
 * every activation.
 */
#include "test.h"

#include "support/stage.h"

typedef struct on_card {
    int arch;
    const char *precision;
    test_tolerance unet, moments, latent, pixels;
} on_card;

static const on_card cards[] = {
    {86, "fp32", {1e-4, 1e-5}, {5e-4, 2e-5}, {2e-4, 2e-5}, {2e-4, 3e-5}},
    {86, "fp16", {4e-2, 4e-3}, {1.5e-1, 4e-3}, {2e-2, 4e-3}, {2e-2, 4e-3}},
    {90, "fp16", {4e-2, 4e-3}, {1.5e-1, 4e-3}, {2e-2, 4e-3}, {2e-2, 4e-3}},
    {90, "bf16", {3e-1, 3e-2}, {1.2, 3e-2}, {2e-1, 3e-2}, {2e-1, 3e-2}},
};
enum { CARDS = sizeof(cards) / sizeof(cards[0]) };

/* make check takes one of each precision: that the bits of both classes are as committed is for
   test_card_run. */
static bool is_taken(const on_card *c) {
    return getenv("MEMSAFE_SIMT_LONG") || c->arch != 86 || strcmp(c->precision, "fp16") != 0;
}

static void take_card(const on_card *c) {
    char text[32];
    snprintf(text, sizeof(text), "1G,sm_%d", c->arch);
    setenv("MEMSAFE_SIMT", text, 1);
    print_message("    sm_%d, %s\n", c->arch, c->precision);
}

static void unet(void **state) {
    (void)state;
    char model[512], cases[512];
    need_model(model, "tiny/latentsync_unet.pt");
    need(cases, "unet/case_f5.safetensors");
    for (int i = 0; i < CARDS; i++) {
        if (!is_taken(&cards[i]))
            continue;
        take_card(&cards[i]);
        assert_int_equal(run("unet --device simt --precision %s --model %s --timesteps 501 --in %s --out %s",
                             cards[i].precision, model, cases, out_path()),
                         0);
        pair p = open_pair(cases);
        compare(&p, "out.t501", "out.t501", NULL, cards[i].unet);
        close_pair(&p);
    }
}

static void vae(void **state) {
    (void)state;
    char model[512], cases[512];
    need_model(model, "tiny/unet.yaml");
    for (int i = 0; i < CARDS; i++) {
        const on_card *c = &cards[i];
        if (!is_taken(c))
            continue;
        take_card(c);
        need(cases, "vae/encode_72x104.safetensors");
        assert_int_equal(run("vae-encode --device simt --precision %s --model %s --in %s --out %s",
                             c->precision, model, cases, out_path()),
                         0);
        pair p = open_pair(cases);
        compare(&p, "out.mean", "out.mean", NULL, c->moments);
        compare(&p, "out.logvar", "out.logvar", NULL, c->moments);
        compare(&p, "out.latent", "out.latent", NULL, c->latent);
        close_pair(&p);
        need(cases, "vae/decode_72x104.safetensors");
        assert_int_equal(run("vae-decode --device simt --precision %s --model %s --in %s --out %s",
                             c->precision, model, cases, out_path()),
                         0);
        p = open_pair(cases);
        compare(&p, "out.pixels", "out.pixels", NULL, c->pixels);
        close_pair(&p);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(unet),
        cmocka_unit_test(vae),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
