#include "world/face.h"

#include <string.h>

/* Height of the head's surface over the plane through the ears. */
static float depth_at(float x, float y) {
    float v = (y - 0.1f) / 1.8f, inside = 1 - x * x * 0.9f - v * v * 0.8f;
    return 0.95f * sqrtf(inside > 0.02f ? inside : 0.02f);
}

w_vec w_face_at(const w_face *f, float x, float y, float lift) {
    /* Turned about a point in the neck, below and behind the face. */
    float p[3] = {x, y - 0.6f, depth_at(x, y) + lift}, q[2];
    for (int i = 0; i < 2; i++)
        q[i] = f->turn[i][0] * p[0] + f->turn[i][1] * p[1] + f->turn[i][2] * p[2];
    return w_v(f->rest.x + f->unit * (q[0] + f->now.x), f->rest.y + f->unit * (q[1] + 0.6f + f->now.y));
}

w_vec w_face_jaw_at(const w_face *f, float x, float y, float lift) {
    float reach = w_smooth(f->person->nose_length + 0.05f, f->person->chin, y);
    return w_face_at(f, x * (1 - 0.06f * f->jaw_drop * reach), y + f->jaw_drop * reach, lift);
}

w_vec w_face_across(const w_face *f, float length) {
    return w_v(f->turn[0][0] * f->unit * length, f->turn[1][0] * f->unit * length);
}

w_vec w_face_down(const w_face *f, float length) {
    return w_v(f->turn[0][1] * f->unit * length, f->turn[1][1] * f->unit * length);
}

static void set_turn(w_face *f) {
    float sy = w_sin_turns(f->now.yaw), cy = w_cos_turns(f->now.yaw);
    float sp = w_sin_turns(f->now.pitch), cp = w_cos_turns(f->now.pitch);
    float sr = w_sin_turns(f->now.roll), cr = w_cos_turns(f->now.roll);
    /* roll * pitch * yaw */
    float m[3][3] = {{cy, 0, sy}, {-sp * sy, cp, sp * cy}, {-cp * sy, -sp, cp * cy}};
    for (int j = 0; j < 3; j++) {
        f->turn[0][j] = cr * m[0][j] - sr * m[1][j];
        f->turn[1][j] = sr * m[0][j] + cr * m[1][j];
        f->turn[2][j] = m[2][j];
    }
}

/* ---- outline */

/* The right half from the eye's height down to the chin, in the front view. */
static w_vec contour_at(const w_person *p, float t) {
    const w_vec k[] = {
        {p->cheek * 0.985f, -0.3f},       {p->cheek, 0.0f},
        {p->cheek * 0.975f, 0.42f},       {w_mix(p->cheek, p->jaw, 0.55f), 0.78f},
        {p->jaw * 0.97f, 1.06f},          {w_mix(p->jaw, p->chin_width, 0.5f), p->chin - 0.23f},
        {p->chin_width, p->chin - 0.06f}, {0, p->chin},
        {-p->chin_width, p->chin - 0.06f}};
    w_path curve = {0};
    w_path_curve(&curve, k, 9, false);
    float at = 8 + t * 48; /* eight steps a span, from the second point to the last but one */
    int i = (int)at;
    return i >= 56 ? curve.at[56] : w_mix_v(curve.at[i], curve.at[i + 1], at - (float)i);
}

static void place_contour(w_face *f) {
    int half = W_CONTOUR_POINTS / 2;
    for (int i = 0; i <= half; i++) {
        w_vec at = contour_at(f->person, (float)i / (float)half);
        f->contour[i] = w_face_jaw_at(f, -at.x, at.y, 0);
        f->contour[W_CONTOUR_POINTS - 1 - i] = w_face_jaw_at(f, at.x, at.y, 0);
    }
}

/* ---- eyes and brows: side -1 is the picture's left */

static void place_eye(w_face *f, int e) {
    const w_person *p = f->person;
    float side = e ? 1.0f : -1.0f, w = p->eye_width, h = p->eye_height, shut = f->now.blink;
    float lower = 0.62f * h, meet = 0.35f * h; /* the lids meet below the middle */
    float top = w_mix(h * (1 - 0.15f * f->now.gaze_y), -meet, shut), bottom = w_mix(lower, meet, shut);
    const w_vec outer_first[W_EYE_POINTS] = {{1, -p->eye_tilt},
                                             {0.55f, -top * 0.80f - 0.4f * p->eye_tilt},
                                             {0.02f, -top},
                                             {-0.55f, -top * 0.74f},
                                             {-1, 0.14f * h + p->eye_tilt},
                                             {-0.5f, bottom * 0.8f},
                                             {0.05f, bottom},
                                             {0.58f, bottom * 0.78f}};
    for (int i = 0; i < W_EYE_POINTS; i++) {
        /* The left eye begins at its outer corner, the right one at its inner. */
        int k = !e ? i : i <= 4 ? 4 - i : 12 - i;
        float x = side * (p->eye_gap + outer_first[k].x * w);
        f->eye[e][i] = w_face_at(f, x, outer_first[k].y, -0.03f);
    }
    float gx = f->now.gaze_x * 0.25f * w, gy = f->now.gaze_y * 0.2f * h;
    f->iris[e] = w_face_at(f, side * p->eye_gap + gx, -0.12f * h + gy, -0.02f);
}

static void place_brow(w_face *f, int e) {
    const w_person *p = f->person;
    float side = e ? 1.0f : -1.0f, y = -p->brow_height - 0.05f * f->now.brow_raise;
    const w_vec line[5] = {{0.34f, 0.02f + p->brow_tilt},
                           {0.22f, -p->brow_arch},
                           {0.06f, -p->brow_arch * 1.1f},
                           {-0.12f, -p->brow_arch * 0.55f},
                           {-0.29f, -0.008f - p->brow_tilt}};
    static const float thick[5] = {0.2f, 0.7f, 0.95f, 1.0f, 0.9f};
    for (int i = 0; i < 5; i++) {
        float x = side * (p->eye_gap + 0.03f + line[i].x), half = 0.5f * thick[i] * p->brow_thick;
        f->brow[e][i] = w_face_at(f, x, y + line[i].y - half, 0.03f);
        if (i)
            f->brow[e][W_BROW_POINTS - i] = w_face_at(f, x, y + line[i].y + half, 0.03f);
    }
}

/* ---- nose */

static void place_nose(w_face *f) {
    const w_person *p = f->person;
    float w = p->nose_width, l = p->nose_length;
    static const float lift[4] = {0.02f, 0.09f, 0.18f, 0.26f};
    for (int i = 0; i < 4; i++)
        f->bridge[i] = w_face_at(f, 0, w_mix(0.02f, l - 0.10f, (float)i / 3), lift[i]);
    const w_vec side[5] = {{0.10f, 0.03f},
                           {0.62f * w, l - 0.20f},
                           {w, l - 0.08f},
                           {0.86f * w, l + 0.01f},
                           {0.42f * w, l + 0.035f}};
    static const float side_lift[5] = {-0.01f, 0.06f, 0.06f, 0.06f, 0.12f};
    for (int i = 0; i < 5; i++) {
        f->nose_left[i] = w_face_at(f, -side[i].x, side[i].y, side_lift[i]);
        f->nose_right[i] = w_face_at(f, side[i].x, side[i].y, side_lift[i]);
    }
    f->nose_base = w_face_at(f, 0, l + 0.055f, 0.14f);
}

/* ---- mouth */

static void place_mouth(w_face *f) {
    const w_person *p = f->person;
    const w_mouth *m = &f->now.mouth;
    float open = m->open * (1 - m->press);
    float w = p->mouth_width * (1 + 0.20f * m->wide - 0.34f * m->round - 0.05f * open);
    float gap = 0.40f * open, up = -0.22f * gap, down = 0.78f * gap * (1 - 0.5f * m->tuck);
    float thin = 1 - 0.55f * m->press, top = p->lips * 0.85f * thin * (1 - 0.15f * m->wide);
    float low = p->lips * 1.1f * thin * (1 - 0.55f * m->tuck) * (1 - 0.1f * m->wide);
    float lift = 0.05f + 0.07f * m->round, y = p->mouth_row,
          corner = y - 0.025f - 0.02f * m->wide + 0.20f * gap;
    /* Half of the upper and lower edges, from the corner to the middle: outer x, y; inner x, y. */
    const w_vec outer_up[3] = {{0.62f * w, y + up * 0.62f - top * 0.80f},
                               {0.20f * w, y + up - top * 1.12f},
                               {0, y + up - top * 0.92f}};
    const w_vec outer_low[3] = {{0.66f * w, y + down * 0.80f + low * 0.62f},
                                {0.30f * w, y + down + low},
                                {0, y + down + low * 1.04f}};
    float bow = 0.012f * (1 - m->press);
    const w_vec inner_up[2] = {{0.46f * w, y + up * 0.72f - bow * 0.3f}, {0, y + up + bow}};
    const w_vec inner_low[2] = {{0.48f * w, y + down * 0.84f - bow * 0.3f}, {0, y + down + bow}};
    w_vec *o = f->lip_outer, *n = f->lip_inner;
    for (int s = 0; s < 2; s++) {
        float side = s ? 1.0f : -1.0f;
        o[s ? 6 : 0] = w_face_at(f, side * w, corner, lift * 0.4f);
        n[s ? 4 : 0] = w_face_at(f, side * 0.88f * w, corner, lift * 0.5f);
        for (int i = 0; i < 2; i++) {
            o[s ? 5 - i : 1 + i] = w_face_at(f, side * outer_up[i].x, outer_up[i].y, lift);
            o[s ? 7 + i : 11 - i] = w_face_at(f, side * outer_low[i].x, outer_low[i].y, lift);
        }
        n[s ? 3 : 1] = w_face_at(f, side * inner_up[0].x, inner_up[0].y, lift);
        n[s ? 5 : 7] = w_face_at(f, side * inner_low[0].x, inner_low[0].y, lift);
    }
    o[3] = w_face_at(f, 0, outer_up[2].y, lift);
    o[9] = w_face_at(f, 0, outer_low[2].y, lift);
    n[2] = w_face_at(f, 0, inner_up[1].y, lift);
    n[6] = w_face_at(f, 0, inner_low[1].y, lift);
    f->mouth_opening = w_length(w_sub(n[6], n[2]));
    f->mouth_width = w_length(w_sub(o[6], o[0]));
}

void w_face_pose(w_face *f, const w_person *person, const w_moment *now, int width, int height) {
    float w = (float)width, h = (float)height, side = fminf(w, h * 0.95f);
    memset(f, 0, sizeof(*f));
    f->person = person;
    f->now = *now;
    f->unit = side * person->size;
    f->rest = w_v(w * 0.5f, h * 0.45f);
    f->jaw_drop = 0.26f * now->mouth.open * (1 - now->mouth.press);
    set_turn(f);
    place_contour(f);
    for (int e = 0; e < 2; e++) {
        place_eye(f, e);
        place_brow(f, e);
    }
    place_nose(f);
    place_mouth(f);
}
