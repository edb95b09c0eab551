#include "models/model_files.h"

#include <dirent.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "files/in_use.h"
#include "files/new_file.h"
#include "formats/yaml/yaml.h"
#include "memsafe_have.h"

static bool is_file(const char *path) {
    struct stat st;
    return stat(path, &st) == 0 && S_ISREG(st.st_mode);
}

static bool is_folder(const char *path) {
    struct stat st;
    return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

static ms_status join(char *dst, const char *dir, const char *name, ms_error *err) {
    int n = snprintf(dst, MS_PATH_BYTES, "%s/%s", dir, name);
    return n >= 0 && n < MS_PATH_BYTES
               ? MS_OK
               : ms_fail(err, MS_INVALID_ARGUMENT, "the path %s/%s is too long", dir, name);
}

ms_status ms_fail_model_folder(const char *dir, ms_error *err) {
    const bool there = access(dir, F_OK) == 0;
    return ms_fail_hint(err, MS_IO, MS_HINT_FETCH,
                        there ? "%s is not a folder" : "%s: there is no such folder", dir);
}

/* The first of several names that exists in a folder. */
static ms_status first_of(char *dst, const char *dir, const char *const *names, const char *what,
                          ms_error *err) {
    if (!dir)
        return ms_fail_hint(err, MS_INVALID_ARGUMENT, MS_HINT_MODEL, "no %s was named and no model folder",
                            what);
    for (int i = 0; names[i]; i++) {
        MS_TRY(join(dst, dir, names[i], err));
        if (is_file(dst))
            return MS_OK;
    }
    if (!is_folder(dir))
        return ms_fail_model_folder(dir, err);
    return ms_fail(err, MS_BAD_MODEL, "%s: has no %s (%s)", dir, what, names[0]);
}

static ms_status named(char *dst, const char *path, const char *what, ms_error *err) {
    if (strlen(path) >= MS_PATH_BYTES)
        return ms_fail(err, MS_INVALID_ARGUMENT, "the path of the %s is too long", what);
    if (!is_file(path))
        return ms_fail(err, MS_IO, "%s: there is no such file (%s)", path, what);
    strcpy(dst, path);
    return MS_OK;
}

static ms_status read_unet_config(ms_model_files *f, ms_error *err) {
    ms_json_doc *doc = NULL;
    MS_TRY(ms_config_load(NULL, f->config, &doc, err));
    ms_status status = ms_unet_config_read(ms_json_root(doc), f->config, &f->unet_config, err);
    ms_json_doc_destroy(&doc);
    return status;
}

static ms_status find_unet(const ms_model_names *names, unsigned parts, ms_model_files *f, ms_error *err) {
#if MS_HAVE_YAML
    static const char *const configs[] = {"unet.yaml", "config.yaml", "unet.json", NULL};
#else
    static const char *const configs[] = {"unet.json", "unet.yaml", "config.yaml", NULL};
#endif
    static const char *const weights[] = {"latentsync_unet.pt", "latentsync_unet.safetensors", NULL};
    MS_TRY(names->config ? named(f->config, names->config, "UNet config", err)
                         : first_of(f->config, names->dir, configs, "UNet config", err));
    MS_TRY(read_unet_config(f, err));
    if (!(parts & MS_PART_UNET))
        return MS_OK;
    return names->unet ? named(f->unet, names->unet, "UNet checkpoint", err)
                       : first_of(f->unet, names->dir, weights, "UNet checkpoint", err);
}

static ms_status find_vae(const ms_model_names *names, ms_model_files *f, ms_error *err) {
    static const char *const weights[] = {"diffusion_pytorch_model.safetensors",
                                          "diffusion_pytorch_model.bin", NULL};
    static const char *const configs[] = {"config.json", NULL};
    char dir[MS_PATH_BYTES];
    if (names->vae && !is_folder(names->vae)) { /* a weights file; its config lies beside it */
        MS_TRY(named(f->vae, names->vae, "VAE checkpoint", err));
        const char *slash = strrchr(names->vae, '/');
        snprintf(dir, sizeof(dir), "%.*s", slash ? (int)(slash - names->vae) : 1, slash ? names->vae : ".");
    } else {
        if (names->vae)
            snprintf(dir, sizeof(dir), "%s", names->vae);
        else if (names->dir)
            MS_TRY(join(dir, names->dir, "vae", err));
        else
            return ms_fail_hint(err, MS_INVALID_ARGUMENT, MS_HINT_MODEL,
                                "no VAE was named and no model folder");
        MS_TRY(first_of(f->vae, dir, weights, "VAE checkpoint", err));
    }
    MS_TRY(first_of(f->vae_config, dir, configs, "VAE config", err));
    ms_json_doc *doc = NULL;
    MS_TRY(ms_config_load(NULL, f->vae_config, &doc, err));
    ms_status status = ms_vae_config_read(ms_json_root(doc), f->vae_config, &f->vae_config_values, err);
    ms_json_doc_destroy(&doc);
    return status;
}

static ms_status read_whisper(const char *path, ms_whisper_config *ret_config, ms_error *err) {
    ms_tensor_file *file = NULL;
    MS_TRY(ms_tensor_file_open(NULL, path, &file, err));
    ms_status status = ms_whisper_config_read(file, ret_config, err);
    ms_tensor_file_close(&file);
    return status;
}

static bool ends_with(const char *text, const char *end) {
    size_t a = strlen(text), b = strlen(end);
    return a >= b && strcmp(text + a - b, end) == 0;
}

/* Of the folder's .pt files, the one as wide as the UNet's cross-attention. */
static ms_status choose_whisper(const char *dir, ms_model_files *f, ms_error *err) {
    DIR *d = opendir(dir);
    if (!d)
        return ms_fail(err, MS_BAD_MODEL, "%s is not a folder (Whisper checkpoint)", dir);
    ms_status status = MS_BAD_MODEL;
    ms_error first;
    ms_error_clear(&first);
    int seen = 0;
    for (struct dirent *e; status != MS_OK && (e = readdir(d));) {
        if (!ends_with(e->d_name, ".pt"))
            continue;
        char path[MS_PATH_BYTES];
        ms_whisper_config c;
        ms_error problem;
        ms_error_clear(&problem);
        if (join(path, dir, e->d_name, &problem) == MS_OK && read_whisper(path, &c, &problem) == MS_OK) {
            if (c.n_state == f->unet_config.cross_attention_dim) {
                strcpy(f->whisper, path);
                f->whisper_config = c;
                status = MS_OK;
            } else {
                ms_fail(&problem, MS_BAD_MODEL,
                        "%s: is %d wide, the UNet attends to %lld (cross_attention_dim)", path, c.n_state,
                        (long long)f->unet_config.cross_attention_dim);
            }
        }
        if (seen++ == 0)
            first = problem;
    }
    closedir(d);
    if (status == MS_OK)
        return MS_OK;
    if (seen == 0)
        return ms_fail(err, MS_BAD_MODEL, "%s: has no Whisper checkpoint (tiny.pt or small.pt)", dir);
    if (err)
        *err = first;
    return first.code == MS_OK ? MS_BAD_MODEL : first.code;
}

static ms_status find_whisper(const ms_model_names *names, ms_model_files *f, ms_error *err) {
    char dir[MS_PATH_BYTES];
    if (!names->whisper) {
        if (!names->dir)
            return ms_fail_hint(err, MS_INVALID_ARGUMENT, MS_HINT_MODEL,
                                "no Whisper checkpoint was named and no model folder");
        MS_TRY(join(dir, names->dir, "whisper", err));
        return choose_whisper(dir, f, err);
    }
    MS_TRY(named(f->whisper, names->whisper, "Whisper checkpoint", err));
    MS_TRY(read_whisper(f->whisper, &f->whisper_config, err));
    if (f->whisper_config.n_state != f->unet_config.cross_attention_dim)
        return ms_fail(err, MS_BAD_MODEL, "%s: is %d wide, the UNet attends to %lld (cross_attention_dim)",
                       f->whisper, f->whisper_config.n_state, (long long)f->unet_config.cross_attention_dim);
    return MS_OK;
}

static ms_status find_faces(const ms_model_names *names, ms_model_files *f, ms_error *err) {
    static const char *const detector[] = {"det_10g.onnx", NULL}, *const landmarks[] = {"2d106det.onnx",
                                                                                        NULL};
    char dir[MS_PATH_BYTES];
    if (names->faces)
        snprintf(dir, sizeof(dir), "%s", names->faces);
    else if (names->dir)
        MS_TRY(join(dir, names->dir, "auxiliary/models/buffalo_l", err));
    else
        return ms_fail_hint(err, MS_INVALID_ARGUMENT, MS_HINT_MODEL,
                            "no face nets were named and no model folder");
    if (!names->faces && !is_folder(names->dir))
        return ms_fail_model_folder(names->dir, err);
    if (!is_folder(dir))
        return ms_fail_hint(err, MS_BAD_MODEL, MS_HINT_TRACK,
                            "%s is not a folder: the face nets %s and %s belong there", dir, detector[0],
                            landmarks[0]);
    MS_TRY(first_of(f->detector, dir, detector, "face detector", err));
    return first_of(f->landmarks, dir, landmarks, "landmark net", err);
}

ms_status ms_model_files_find(const ms_model_names *names, unsigned parts, ms_model_files *ret_files,
                              ms_error *err) {
    memset(ret_files, 0, sizeof(*ret_files));
    if (parts & (MS_PART_UNET | MS_PART_WHISPER))
        MS_TRY(find_unet(names, parts, ret_files, err));
    if (parts & MS_PART_VAE)
        MS_TRY(find_vae(names, ret_files, err));
    if (parts & MS_PART_WHISPER)
        MS_TRY(find_whisper(names, ret_files, err));
    if (parts & MS_PART_FACES)
        MS_TRY(find_faces(names, ret_files, err));
    return MS_OK;
}

ms_status ms_model_files_spare(const ms_model_names *names, const char *path, const char *what,
                               ms_error *err) {
    static const unsigned parts[] = {MS_PART_UNET, MS_PART_VAE, MS_PART_UNET | MS_PART_WHISPER,
                                     MS_PART_FACES};
    if (access(path, F_OK) != 0)
        return MS_OK;
    for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
        ms_model_files f;
        ms_model_files_find(names, parts[i], &f, NULL); /* whatever is found of it counts */
        const char *const files[] = {f.config,  f.unet,     f.vae_config, f.vae,
                                     f.whisper, f.detector, f.landmarks};
        const ms_in_use use = {.files = files, .n_files = (int)(sizeof(files) / sizeof(files[0]))};
        MS_TRY(ms_in_use_spare(&use, path, what, err));
    }
    return MS_OK;
}

ms_status ms_checkpoint_open(ms_mem *mem, const char *path, const char *known_tensor,
                             ms_tensor_file **ret_file, const char **ret_prefix, ms_error *err) {
    static const char *const prefixes[] = {"", "state_dict.", "model_state_dict.", "model."};
    ms_tensor_file *file = NULL;
    MS_TRY(ms_tensor_file_open(mem, path, &file, err));
    for (size_t i = 0; i < sizeof(prefixes) / sizeof(prefixes[0]); i++) {
        char name[256];
        snprintf(name, sizeof(name), "%s%s", prefixes[i], known_tensor);
        if (ms_tensor_file_find(file, name)) {
            *ret_prefix = prefixes[i];
            *ret_file = file;
            return MS_OK;
        }
    }
    size_t count = ms_tensor_file_count(file);
    ms_tensor_file_close(&file);
    return ms_fail(err, MS_BAD_MODEL, "%s: holds %zu tensors but no %s, neither plainly nor in a state_dict",
                   path, count, known_tensor);
}
