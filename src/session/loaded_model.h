/*
 * A model on a device under a budget: what ms_model is. Runs and sessions use it one after the other; weights
 * and face networks stay between them. ms_model_open() does what follows in this order; a run that has no
 * model of its caller does it for itself, between looking at its inputs, so that what can fail because of
 * them fails first.
 */
#ifndef MS_SESSION_LOADED_MODEL_H
#define MS_SESSION_LOADED_MODEL_H

#include <stdatomic.h>

#include "engine/engine_weights.h"
#include "faces/face_nets.h"
#include "files/known_file.h"
#include "memsafe/model.h"
#include "planner/run_history.h"
#include "planner/run_plan.h"
#include "planner/run_policy.h"
#include "planner/run_share.h"
#include "planner/run_time.h"

/* A plan is made again only for other work: the next session of the same kind takes the last one's. */
typedef struct ms_kept_plan {
    bool there;
    ms_engine_params of; /* what of them decides the graphs */
    ms_rung rung;
    size_t host_other_bytes; /* that it counts */
    ms_run_plan plan;
} ms_kept_plan;

struct ms_model {
    ms_mem *mem;
    ms_mem *device_mem; /* of a device with memory of its own; empty where it uses mem */
    size_t base_bytes;  /* of the process itself, charged to mem */
    ms_run_share share;
    ms_compute compute;
    ms_compute face_compute; /* the host's, for who looks for faces */
    ms_run_policy policy;
    bool apart; /* the device has memory of its own */
    ms_model_files files;
    char name[64]; /* that of its folder, or of the UNet's file */
    ms_engine_weights *weights;
    ms_face_nets *nets;          /* NULL = not needed so far */
    ms_known_file nets_files[2]; /* that they were loaded from */
    bool has_speed;
    ms_run_speed speed; /* of the machine; has_speed: measured without a history */
    ms_kept_plan kept;
    atomic_bool in_use;
};

/* The device and the ledgers, without a budget. */
ms_status ms_model_open_device(ms_model *model, const char *device, int threads, ms_error *err);

/* The policy and its budgets. MS_BUDGET: others in this process may take all of it. */
ms_status ms_model_open_memory(ms_model *model, const ms_profile_source *profile, ms_precision precision,
                               size_t budget_bytes, size_t host_budget_bytes, ms_error *err);

/* What the process holds besides the ledgers, from here on; growth_bytes: what it may come to hold more.
   Until then it is a bound. With another run in the process nothing can be measured, and the bound stays. */
ms_status ms_model_settle_base(ms_model *model, size_t growth_bytes, ms_error *err);

/* parts: as ms_model_files_find() has them. */
ms_status ms_model_find_files(ms_model *model, const ms_model_names *names, unsigned parts, ms_error *err);

/* Once files are found: nothing is read of the weights; face networks are loaded unless they are there. */
ms_status ms_model_open_weights(ms_model *model, ms_error *err);
ms_status ms_model_open_faces(ms_model *model, ms_error *err);

/* MS_BAD_MODEL: it was opened without face networks, for whoever is not told where faces are. */
ms_status ms_model_check_faces(const ms_model *model, ms_error *err);

/* Its ledgers' bytes now, without what is loaded of the weights, which plans count by themselves. */
size_t ms_model_device_bytes(const ms_model *model);
size_t ms_model_host_bytes(const ms_model *model);

/* MS_IO: a file is not the one that weights or face networks were read from. */
ms_status ms_model_check_files(ms_model *model, ms_error *err);

/* Before planning, into model->speed: the machine's, as the history (a file; NULL = none) corrects it;
   without one it is measured once. key and ret_warning: as ms_run_speed_find() has them. */
ms_status ms_model_find_speed(ms_model *model, const char *history, ms_history_key *key,
                              char ret_warning[MS_HISTORY_TEXT_BYTES], ms_error *err);

/* Takes and gives back the right to use it: MS_INVALID_ARGUMENT while another session has it, MS_IO when a
   file is not the one that weights were read from, MS_BUDGET when others may take all of its budget. There is
   no budget until ms_model_hold_budget(). A model that nobody has counts for others as what it holds
   (run_share.h); what its process holds is found anew when it is taken. */
ms_status ms_model_take(ms_model *model, ms_error *err);
void ms_model_give_back(ms_model *model);
/* Once there is a plan of so many bytes: from here on the budgets hold. */
ms_status ms_model_hold_budget(ms_model *model, size_t planned_bytes, ms_error *err);

/* All of it, also what was opened in part; not the struct itself. */
void ms_model_end(ms_model *model);

#endif
