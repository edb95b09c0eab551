/* The layers of a picture, from back to front; each is one file or part of one. */
#ifndef WORLD_DRAW_H
#define WORLD_DRAW_H

#include "world/face.h"
#include "world/paint.h"

void w_draw_scene(w_canvas *canvas, const w_person *person);
void w_draw_hair_behind(w_canvas *canvas, const w_face *face);
void w_draw_body(w_canvas *canvas, const w_face *face);
void w_draw_head(w_canvas *canvas, const w_face *face);
void w_draw_beard(w_canvas *canvas, const w_face *face);
void w_draw_nose(w_canvas *canvas, const w_face *face);
void w_draw_mouth(w_canvas *canvas, const w_face *face);
void w_draw_eyes(w_canvas *canvas, const w_face *face);
void w_draw_brows(w_canvas *canvas, const w_face *face);
void w_draw_hair(w_canvas *canvas, const w_face *face);
void w_draw_glasses(w_canvas *canvas, const w_face *face);

/* The whole outline of head and jaw, for what is clipped to the skin. */
void w_head_path(const w_face *face, w_path *ret_path);

#endif
