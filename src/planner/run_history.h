/* What a run takes from the history before it is planned, and what it leaves there.
   A run never fails for it. */
#ifndef MS_PLANNER_RUN_HISTORY_H
#define MS_PLANNER_RUN_HISTORY_H

#include "planner/run_plan.h"

/* What this device is called in the history. */
ms_machine ms_run_machine(const ms_compute *compute);

/* engine: as for planning; its layout does not matter. calibration stays 0. */
ms_history_key ms_run_history_key(const ms_engine_params *engine, bool tracked, ms_output_codec codec);

/*
 * The speed of a cpu device: from the history, else measured in a quarter of a second and left
 * there. path: the history's file, NULL = none. key->calibration is filled in. ret_warning: what
 * was wrong with the history, empty when nothing was. Fails only when the measurement does.
 */
ms_status ms_run_speed_find(const ms_compute *compute, const char *path, const char *disk_file,
                            ms_history_key *key, ms_run_speed *ret_speed,
                            char ret_warning[MS_HISTORY_TEXT_BYTES], ms_error *err);

/*
 * The speed of a card that is not here, where the history has runs or measurements of one of its name;
 * nothing is measured. false: it has none, and nothing is filled in but the warning.
 */
bool ms_run_speed_of_card(const ms_compute *compute, const char *path, const ms_card *card,
                          ms_history_key *key, ms_run_speed *ret_speed,
                          char ret_warning[MS_HISTORY_TEXT_BYTES]);

/* The layout in a few words: "VAE 4, both branches, 16 frames, all weights". */
void ms_run_layout_text(const ms_run_plan *plan, char ret_text[MS_HISTORY_TEXT_BYTES]);

/* Adds a run; what goes wrong goes into ret_warning. */
void ms_run_history_record(const char *path, const ms_history_run *run,
                           char ret_warning[MS_HISTORY_TEXT_BYTES]);

#endif
