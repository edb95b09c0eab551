#include "run/run_files.h"

#include "base/error.h"
#include "files/in_use.h"
#include "models/model_files.h"
#include "session/loaded_model.h"

#define COUNT(array) ((int)(sizeof(array) / sizeof((array)[0])))

/* Of a model that is loaded already. */
static ms_status spare_loaded(const ms_model *m, const char *path, const char *what, ms_error *err) {
    const ms_model_files *f = &m->files;
    const char *const files[] = {f->config,  f->unet,     f->vae_config, f->vae,
                                 f->whisper, f->detector, f->landmarks};
    const ms_in_use use = {.files = files, .n_files = COUNT(files), .profile = m->policy.profile.file};
    return ms_in_use_spare(&use, path, what, err);
}

static ms_status spare_model(const ms_run_params *p, const char *path, const char *what, ms_error *err) {
    const ms_model_names names = {.dir = p->model,
                                  .config = p->config,
                                  .unet = p->unet,
                                  .vae = p->vae,
                                  .whisper = p->whisper,
                                  .faces = p->faces};
    return ms_model_files_spare(&names, path, what, err);
}

ms_status ms_run_spare(const ms_run_params *p, const char *path, const char *what, ms_error *err) {
    const char *const files[] = {p->video,  p->audio, p->track, p->pressure_trace,
                                 p->config, p->unet,  p->vae,   p->whisper};
    const ms_in_use use = {.files = files,
                           .n_files = COUNT(files),
                           .profile = p->profile.file,
                           .history = p->history,
                           .latents = p->latent_cache_dir,
                           .output = p->output};
    if (!path)
        return MS_OK;
    MS_TRY(ms_in_use_spare(&use, path, what, err));
    return p->loaded ? spare_loaded(p->loaded, path, what, err) : spare_model(p, path, what, err);
}
