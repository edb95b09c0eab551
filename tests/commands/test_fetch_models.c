/* scripts/fetch-models against a server on the loopback that breaks off, lies, and keeps count. */
#include "test.h"

#include <stdbool.h>

#include "support/cli.h"
#include "support/http.h"
#include "support/models/torch_archive.h"

#define HF "/ByteDance/LatentSync-1.5/resolve/main"
#define VAE "/stabilityai/sd-vae-ft-mse/resolve/main"
#define NETS MS_SOURCE_DIR "/models/demo/auxiliary/models/buffalo_l"

enum { CONFIG, VAE_CONFIG, VAE_WEIGHTS, WHISPER, ZIP, UNET, FILES };

static http_file files[FILES] = {
    {.path = "/bytedance/LatentSync/main/configs/unet/stage2.yaml"},
    {.path = VAE "/config.json"},
    {.path = VAE "/diffusion_pytorch_model.safetensors"},
    {.path = HF "/whisper/tiny.pt"},
    {.path = "/deepinsight/insightface/releases/download/v0.7/buffalo_l.zip"},
    {.path = HF "/latentsync_unet.pt"},
};
static http_server *server;
static archive zip;

static void *read_file(const char *path, size_t *ret_bytes) {
    FILE *file = fopen(path, "rb");
    if (!file)
        fail_msg("%s: cannot be opened", path);
    fseek(file, 0, SEEK_END);
    *ret_bytes = (size_t)ftell(file);
    rewind(file);
    void *data = malloc(*ret_bytes);
    assert_int_equal(fread(data, 1, *ret_bytes, file), *ret_bytes);
    fclose(file);
    return data;
}

static void serve_file(int which, const char *path) {
    files[which].data = read_file(path, &files[which].bytes);
}

/* By the same program as the script's: what is tested is that it compares. */
static void digest_of(const char *path, char digest[65]) {
    char line[600];
    snprintf(line, sizeof(line), "sha256sum <%s", path);
    FILE *pipe = popen(line, "r");
    assert_int_equal(fread(digest, 1, 64, pipe), 64);
    digest[64] = 0;
    pclose(pipe);
}

static int prepare(void **state) {
    (void)state;
    char line[700];
    if (system("command -v curl unzip sha256sum >/dev/null") != 0)
        return 0; /* the tests skip */
    assert_run_works("models --synthesize tiny -o %s", test_file("model"));
    serve_file(CONFIG, test_file("model/unet.yaml"));
    serve_file(VAE_CONFIG, test_file("model/vae/config.json"));
    serve_file(VAE_WEIGHTS, test_file("model/vae/diffusion_pytorch_model.safetensors"));
    serve_file(WHISPER, test_file("model/whisper/tiny.pt"));
    serve_file(UNET, test_file("model/latentsync_unet.pt"));
    digest_of(test_file("model/vae/diffusion_pytorch_model.safetensors"), files[VAE_WEIGHTS].digest);
    digest_of(test_file("model/whisper/tiny.pt"), files[WHISPER].digest);
    digest_of(test_file("model/latentsync_unet.pt"), files[UNET].digest);
    static const char *const nets[] = {"det_10g.onnx", "2d106det.onnx"};
    for (int i = 0; i < 2; i++) {
        size_t bytes;
        snprintf(line, sizeof(line), NETS "/%s", nets[i]);
        void *data = read_file(line, &bytes);
        archive_add(&zip, nets[i], data, bytes);
        free(data);
    }
    archive_end(&zip);
    files[ZIP].data = zip.file.data;
    files[ZIP].bytes = zip.file.length;
    server = http_start(files, FILES);
    return 0;
}

static int clean_up(void **state) {
    (void)state;
    if (server)
        http_stop(server);
    for (int i = 0; i < FILES; i++)
        if (i != ZIP)
            free((void *)(uintptr_t)files[i].data);
    archive_free(&zip);
    test_dir_remove();
    return 0;
}

static void need_tools(void) {
    if (!server) {
        print_message("    skipped: curl, unzip or sha256sum is not there\n");
        skip();
    }
}

/* Exit code of the script; its words are in test_output. */
static int fetch(const char *arguments) {
    char line[2048];
    int port = http_port(server);
    snprintf(line, sizeof(line),
             "env no_proxy=127.0.0.1 NO_PROXY=127.0.0.1 MEMSAFE=%s MEMSAFE_HF_URL=http://127.0.0.1:%d "
             "MEMSAFE_GITHUB_URL=http://127.0.0.1:%d MEMSAFE_GITHUB_RAW_URL=http://127.0.0.1:%d sh %s %s "
             "</dev/null 2>&1",
             MS_CLI_PATH, port, port, port, MS_SOURCE_DIR "/scripts/fetch-models", arguments);
    return test_shell(line);
}

#define assert_fetch(code, text, ...)                                                                        \
    do {                                                                                                     \
        char arguments_[1024];                                                                               \
        snprintf(arguments_, sizeof(arguments_), __VA_ARGS__);                                               \
        int code_ = fetch(arguments_);                                                                       \
        if (code_ != (code) || !strstr(test_output, text))                                                   \
            fail_msg("exit %d (want %d), wanted \"%s\" in: %s", code_, code, text, test_output);             \
    } while (0)

static bool same_file(const char *a, const char *b) {
    char line[1200];
    snprintf(line, sizeof(line), "cmp -s %s %s", a, b);
    return system(line) == 0;
}

static void test_no_consent(void **state) {
    (void)state;
    need_tools();
    int before = http_requests(server);
    assert_fetch(3, "nothing was downloaded", "1.5 -o %s", test_file("none"));
    assert_non_null(strstr(test_output, "NON-COMMERCIAL RESEARCH ONLY"));
    assert_non_null(strstr(test_output, "openrail++"));
    assert_int_equal(http_requests(server), before);
    assert_false(test_exists(test_file("none")));
    assert_fetch(2, "which version", "-o %s --accept-licence", test_file("none"));
    assert_fetch(2, "is not understood", "1.7");
    assert_int_equal(http_requests(server), before);
}

/* The whole folder, held against the checks of `memsafe doctor`; a second time nothing is fetched. */
static void test_whole(void **state) {
    (void)state;
    need_tools();
    assert_fetch(0, "both have the operators", "1.5 -o %s --accept-licence", test_file("whole"));
    assert_non_null(strstr(test_output, "latentsync_unet.pt: digest right (stated by the server)"));
    assert_non_null(strstr(test_output, "unet.yaml: no digest is known"));
    assert_true(same_file(test_file("whole/latentsync_unet.pt"), test_file("model/latentsync_unet.pt")));
    assert_true(same_file(test_file("whole/auxiliary/models/buffalo_l/det_10g.onnx"), NETS "/det_10g.onnx"));
    assert_run_works("models %s", test_file("whole"));
    int before = http_requests(server);
    assert_fetch(0, "latentsync_unet.pt: there already, digest right (an earlier run)",
                 "1.5 -o %s --accept-licence", test_file("whole"));
    assert_int_equal(http_requests(server), before);
    /* A file that was damaged since is fetched again. */
    assert_int_equal(truncate(test_file("whole/latentsync_unet.pt"), 1000), 0);
    assert_run_fails(9, "latentsync_unet.pt", "doctor --model %s", test_file("whole"));
    assert_fetch(0, "latentsync_unet.pt: digest right (an earlier run)", "1.5 -o %s --accept-licence",
                 test_file("whole"));
    assert_true(same_file(test_file("whole/latentsync_unet.pt"), test_file("model/latentsync_unet.pt")));
}

static void test_interrupted(void **state) {
    (void)state;
    need_tools();
    const size_t cut = 123456;
    struct stat part;
    files[UNET].cut = cut;
    assert_fetch(1, "run the command again", "1.5 -o %s --accept-licence", test_file("cut"));
    assert_false(test_exists(test_file("cut/latentsync_unet.pt")));
    assert_int_equal(stat(test_file("cut/latentsync_unet.pt.part"), &part), 0);
    assert_int_equal(part.st_size, cut);
    assert_fetch(0, "both have the operators", "1.5 -o %s --accept-licence", test_file("cut"));
    assert_int_equal(files[UNET].last_from, cut);
    assert_true(same_file(test_file("cut/latentsync_unet.pt"), test_file("model/latentsync_unet.pt")));
    assert_false(test_exists(test_file("cut/latentsync_unet.pt.part")));
}

static void test_wrong_digest(void **state) {
    (void)state;
    need_tools();
    char digest[65];
    strcpy(digest, files[WHISPER].digest);
    memset(files[WHISPER].digest, 'a', 64);
    assert_fetch(4, "the file was removed", "1.5 -o %s --accept-licence", test_file("wrong"));
    assert_false(test_exists(test_file("wrong/whisper/tiny.pt")));
    assert_false(test_exists(test_file("wrong/whisper/tiny.pt.part")));
    strcpy(files[WHISPER].digest, digest);
    /* The user's own digests count before the server's. */
    FILE *sums = fopen(test_file("sums"), "w");
    fprintf(sums, "%064d  whisper/tiny.pt\n", 7);
    fclose(sums);
    assert_fetch(4, "(--sums)", "1.5 -o %s --accept-licence --sums %s", test_file("wrong"),
                 test_file("sums"));
    sums = fopen(test_file("sums"), "w");
    fprintf(sums, "%s  whisper/tiny.pt\n", digest);
    fclose(sums);
    assert_fetch(0, "whisper/tiny.pt: digest right (--sums)",
                 "1.5 -o %s --accept-licence --no-faces --sums %s", test_file("wrong"), test_file("sums"));
    assert_false(test_exists(test_file("wrong/auxiliary")));
}

static void test_missing(void **state) {
    (void)state;
    need_tools();
    /* 1.6 has its own files, which this server does not have. */
    assert_fetch(1, "stage2_512.yaml", "1.6 -o %s --accept-licence", test_file("missing"));
    assert_false(test_exists(test_file("missing/unet.yaml")));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_no_consent),  cmocka_unit_test(test_whole),
        cmocka_unit_test(test_interrupted), cmocka_unit_test(test_wrong_digest),
        cmocka_unit_test(test_missing),
    };
    return cmocka_run_group_tests(tests, prepare, clean_up);
}
