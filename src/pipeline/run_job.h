/* What the parts of a run share: run.c opens and closes it, run_open.c fills it, run_windows.c works it off,
   run_progress.c tells about it. */
#ifndef MS_PIPELINE_RUN_JOB_H
#define MS_PIPELINE_RUN_JOB_H

#include "audio/audio_reader.h"
#include "base/error.h"
#include "media/video_writer.h"
#include "pipeline/engine.h"
#include "pipeline/face_source.h"
#include "pipeline/frame_source.h"
#include "pipeline/run_internal.h"
#include "pipeline/run_plan.h"
#include "pipeline/run_pressure.h"
#include "pipeline/speech.h"

typedef struct ms_job {
    const ms_run_params *p;
    ms_run_report report;
    double started;
    ms_mem *mem;
    size_t base_bytes; /* of the process itself, charged to mem */
    ms_device *dev;
    ms_run_plan plan;
    ms_engine_params engine_params; /* but the layout, which is the plan's */
    ms_run_speed speed;
    ms_run_pressure pressure;
    ms_model_files files;
    ms_dtype precision;
    ms_speech *speech;
    ms_clip *clip;
    ms_face_finder *faces;
    ms_engine *engine;
    ms_face_geometry geometry;
    ms_face_stage *stage;
    ms_frame_source *source;
    ms_audio_reader *sound; /* of the output, when it is what the model heard */
    ms_video_writer *writer;
    void *work; /* align and restore */
    size_t work_bytes;
    /* The window that is being collected. */
    ms_output_frame *window; /* [window frames] */
    uint8_t *aligned;        /* [window frames][resolution][resolution][3] */
    int64_t collected;
    int64_t total; /* output frames expected; 0 = not known */
    double stage_began;
    const char *stage_name;
} ms_job;

/* ---- run_progress.c ---- */

double ms_job_now_s(void);

/* Time from here on belongs to another stage; NULL = to none. */
void ms_job_enter(ms_job *job, const char *stage);
void ms_job_tell(ms_job *job, int64_t part, int64_t parts);

/* The engine's hooks; arg is the job. */
ms_status ms_job_poll(void *arg);
void ms_job_engine_stage(void *arg, const char *stage, int64_t done, int64_t total);

/* ---- run_open.c ---- */

/* In this order. */
ms_status ms_job_open_memory(ms_job *job, ms_error *err);
ms_status ms_job_open_device(ms_job *job, ms_error *err);
ms_status ms_job_open_inputs(ms_job *job, ms_error *err);
ms_status ms_job_open_engine(ms_job *job, ms_error *err);
ms_status ms_job_open_stages(ms_job *job, ms_error *err);

/* At a safe point, between windows: the layout follows memory pressure. */
ms_status ms_job_follow_pressure(ms_job *job, ms_error *err);

/* ---- run_windows.c ---- */

ms_status ms_job_run_frames(ms_job *job, ms_error *err);

#endif
