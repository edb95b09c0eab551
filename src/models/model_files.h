/*
 * Where the parts of a model are: a folder like the official `checkpoints/`, with
 * each part nameable on its own.
 *
 *   DIR/unet.yaml (or config.yaml, unet.json)      the official config; without libyaml unet.json comes first
 *   DIR/latentsync_unet.pt (or .safetensors)       the UNet
 *   DIR/vae/config.json, DIR/vae/diffusion_pytorch_model.safetensors (or .bin)
 *   DIR/whisper/tiny.pt, small.pt ...              the one whose width is the config's cross_attention_dim
 *   DIR/auxiliary/models/buffalo_l/{det_10g,2d106det}.onnx
 */
#ifndef MS_MODELS_MODEL_FILES_H
#define MS_MODELS_MODEL_FILES_H

#include "models/unet3d.h"
#include "models/vae.h"
#include "models/whisper.h"

#define MS_PATH_BYTES 4096

/* What the user said; NULL = take it from the folder. */
typedef struct ms_model_names {
    const char *dir;
    /* vae: folder or weights file; faces: folder of the ONNX files */
    const char *config, *unet, *vae, *whisper, *faces;
} ms_model_names;

typedef struct ms_model_files {
    char config[MS_PATH_BYTES], unet[MS_PATH_BYTES];
    char vae_config[MS_PATH_BYTES], vae[MS_PATH_BYTES];
    char whisper[MS_PATH_BYTES];
    /* empty when there are none: a track file is needed */
    char detector[MS_PATH_BYTES], landmarks[MS_PATH_BYTES];
    ms_unet_config unet_config;
    ms_vae_config vae_config_values;
    ms_whisper_config whisper_config;
} ms_model_files;

enum { MS_PART_UNET = 1, MS_PART_VAE = 2, MS_PART_WHISPER = 4, MS_PART_FACES = 8, MS_PART_ALL = 15 };

/* The folder is not there, or is none: what to do, too. */
ms_status ms_fail_model_folder(const char *dir, ms_error *err);

/* Finds the files of the wanted parts and reads their configs (the UNet's config is needed for the UNet and,
   to choose among several, for Whisper). MS_BAD_MODEL says what is missing and where it was looked for. */
ms_status ms_model_files_find(const ms_model_names *names, unsigned parts, ms_model_files *ret_files,
                              ms_error *err);

/* ms_in_use_spare() for the files of the model that are found; what: "report", for the message. */
ms_status ms_model_files_spare(const ms_model_names *names, const char *path, const char *what,
                               ms_error *err);

/* Opens a checkpoint and finds the prefix of its tensor names ("state_dict.", "model_state_dict." or ""). */
ms_status ms_checkpoint_open(ms_mem *mem, const char *path, const char *known_tensor,
                             ms_tensor_file **ret_file, const char **ret_prefix, ms_error *err);

#endif
