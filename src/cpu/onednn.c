/* oneDNN convolutions. The only file that sees the library. */
#include "cpu/onednn.h"

#include <dnnl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#if DNNL_VERSION_MAJOR >= 3
typedef dnnl_memory_desc_t md_ref; /* an opaque pointer */
typedef const_dnnl_memory_desc_t md_const;
#else
typedef dnnl_memory_desc_t *md_ref;
typedef const dnnl_memory_desc_t *md_const;
#endif

struct bd_conv {
    bd_conv_dir dir;
    bd_conv_shape s;
    dnnl_primitive_desc_t pd;
    dnnl_primitive_t prim;
    dnnl_primitive_t pack, unpack; /* reorders; NULL when the layouts are equal */
    md_ref x, plain, b, y;
    char impl[64];
};

enum { MAX_ARGS = 6 };

struct bd_conv_bound {
    dnnl_primitive_t prim;
    dnnl_memory_t mem[MAX_ARGS];
    dnnl_exec_arg_t args[MAX_ARGS];
    int n;
    dnnl_stream_t stream;
};

static dnnl_engine_t engine;
static pthread_once_t engine_once = PTHREAD_ONCE_INIT;
static dnnl_status_t engine_status;

static void make_engine(void) { engine_status = dnnl_engine_create(&engine, dnnl_cpu, 0); }

static bd_status need_engine(void) {
    pthread_once(&engine_once, make_engine);
    BD_REQUIRE(engine_status == dnnl_success, BD_E_DEVICE, "oneDNN: no CPU engine (status %d)",
               (int)engine_status);
    return BD_OK;
}

static bd_status check(dnnl_status_t st, const char *what) {
    BD_REQUIRE(st != dnnl_out_of_memory, BD_E_MEMORY, "oneDNN: out of memory in %s", what);
    BD_REQUIRE(st == dnnl_success, BD_E_DEVICE, "oneDNN: %s failed with status %d", what, (int)st);
    return BD_OK;
}

static md_ref md_create(int rank, const dnnl_dims_t dims, dnnl_format_tag_t tag) {
#if DNNL_VERSION_MAJOR >= 3
    md_ref md = NULL;
    return dnnl_memory_desc_create_with_tag(&md, rank, dims, dnnl_f32, tag) == dnnl_success ? md
                                                                                            : NULL;
#else
    md_ref md = malloc(sizeof *md);
    if (md && dnnl_memory_desc_init_by_tag(md, rank, dims, dnnl_f32, tag) != dnnl_success) {
        free(md);
        md = NULL;
    }
    return md;
#endif
}

static void md_destroy(md_ref md) {
    if (!md) return;
#if DNNL_VERSION_MAJOR >= 3
    dnnl_memory_desc_destroy(md);
#else
    free(md);
#endif
}

static size_t md_size(md_const md) { return md ? dnnl_memory_desc_get_size(md) : 0; }

static md_const weights_md(const bd_conv *c) {
    return dnnl_primitive_desc_query_md(
        c->pd, c->dir == BD_CONV_BWD_WEIGHT ? dnnl_query_diff_weights_md : dnnl_query_weights_md,
        0);
}

static bd_status describe(bd_conv *c, md_ref *any) {
    const bd_conv_shape *s = &c->s;
    const dnnl_dims_t xd = {s->n, s->i, s->h, s->w}, yd = {s->n, s->o, s->oh, s->ow},
                      wd = {s->o, s->i, s->attr.kh, s->attr.kw}, bd = {s->o};
    c->x = md_create(4, xd, dnnl_nhwc);
    c->y = md_create(4, yd, dnnl_nhwc);
    c->plain = md_create(4, wd, dnnl_oihw);
    c->b = md_create(1, bd, dnnl_x);
    *any = md_create(4, wd, dnnl_format_tag_any);
    BD_REQUIRE(c->x && c->y && c->plain && c->b && *any, BD_E_MEMORY, "oneDNN: out of memory");
    return BD_OK;
}

#if DNNL_VERSION_MAJOR >= 3
static dnnl_status_t make_pd(dnnl_primitive_desc_t *pd, bd_conv *c, bd_conv_dir dir, md_ref w,
                             dnnl_primitive_attr_t attr, dnnl_primitive_desc_t hint) {
    const bd_conv_attr *a = &c->s.attr;
    const dnnl_dims_t st = {a->stride, a->stride}, dil = {0, 0}, pl = {a->pad_top, a->pad_left},
                      pr = {a->pad_bottom, a->pad_right};
    md_ref b = c->s.bias ? c->b : NULL;
    if (dir == BD_CONV_FWD)
        return dnnl_convolution_forward_primitive_desc_create(pd, engine, dnnl_forward_training,
                                                              dnnl_convolution_direct, c->x, w, b,
                                                              c->y, st, dil, pl, pr, attr);
    if (dir == BD_CONV_BWD_DATA)
        return dnnl_convolution_backward_data_primitive_desc_create(
            pd, engine, dnnl_convolution_direct, c->x, w, c->y, st, dil, pl, pr, hint, attr);
    return dnnl_convolution_backward_weights_primitive_desc_create(
        pd, engine, dnnl_convolution_direct, c->x, w, b, c->y, st, dil, pl, pr, hint, attr);
}
#else
static dnnl_status_t make_pd(dnnl_primitive_desc_t *pd, bd_conv *c, bd_conv_dir dir, md_ref w,
                             dnnl_primitive_attr_t attr, dnnl_primitive_desc_t hint) {
    const bd_conv_attr *a = &c->s.attr;
    const dnnl_dims_t st = {a->stride, a->stride}, dil = {0, 0}, pl = {a->pad_top, a->pad_left},
                      pr = {a->pad_bottom, a->pad_right};
    md_ref b = c->s.bias ? c->b : NULL;
    dnnl_convolution_desc_t d;
    dnnl_status_t e;
    if (dir == BD_CONV_FWD)
        e = dnnl_dilated_convolution_forward_desc_init(
            &d, dnnl_forward_training, dnnl_convolution_direct, c->x, w, b, c->y, st, dil, pl, pr);
    else if (dir == BD_CONV_BWD_DATA)
        e = dnnl_dilated_convolution_backward_data_desc_init(&d, dnnl_convolution_direct, c->x, w,
                                                             c->y, st, dil, pl, pr);
    else
        e = dnnl_dilated_convolution_backward_weights_desc_init(&d, dnnl_convolution_direct, c->x,
                                                                w, b, c->y, st, dil, pl, pr);
    return e == dnnl_success ? dnnl_primitive_desc_create(pd, &d, attr, engine, hint) : e;
}
#endif

static dnnl_status_t make_attr(dnnl_primitive_attr_t *attr) {
    dnnl_status_t e = dnnl_primitive_attr_create(attr);
    return e ? e : dnnl_primitive_attr_set_scratchpad_mode(*attr, dnnl_scratchpad_mode_user);
}

static bd_status make_reorder(dnnl_primitive_t *out, md_const from, md_const to) {
    *out = NULL;
    dnnl_primitive_desc_t pd;
    BD_TRY(
        check(dnnl_reorder_primitive_desc_create(&pd, from, engine, to, engine, NULL), "reorder"));
    dnnl_status_t e = dnnl_primitive_create(out, pd);
    dnnl_primitive_desc_destroy(pd);
    return check(e, "reorder");
}

static bd_status make_prim(bd_conv *c, md_ref any) {
    dnnl_primitive_attr_t attr = NULL;
    dnnl_primitive_desc_t hint = NULL;
    bd_status st = check(make_attr(&attr), "attributes");
    if (!st && c->dir != BD_CONV_FWD)
        st = check(make_pd(&hint, c, BD_CONV_FWD, any, NULL, NULL), "forward hint");
    if (!st) st = check(make_pd(&c->pd, c, c->dir, any, attr, hint), "convolution");
    if (hint) dnnl_primitive_desc_destroy(hint);
    if (attr) dnnl_primitive_attr_destroy(attr);
    BD_TRY(st);
    const char *impl = "";
    dnnl_primitive_desc_query(c->pd, dnnl_query_impl_info_str, 0, &impl);
    snprintf(c->impl, sizeof c->impl, "%s", impl);
    BD_REQUIRE(!strstr(impl, "ref"), BD_E_DEVICE, "oneDNN offers only its reference code (%s)",
               impl);
    BD_TRY(check(dnnl_primitive_create(&c->prim, c->pd), "convolution"));
    if (c->dir != BD_CONV_BWD_WEIGHT) return make_reorder(&c->pack, c->plain, weights_md(c));
    return make_reorder(&c->unpack, weights_md(c), c->plain);
}

bd_status bd_conv_create(bd_conv **out, bd_conv_dir dir, const bd_conv_shape *s) {
    *out = NULL;
    BD_TRY(need_engine());
    bd_conv *c = calloc(1, sizeof *c);
    BD_REQUIRE(c, BD_E_MEMORY, "oneDNN: out of memory");
    c->dir = dir;
    c->s = *s;
    md_ref any = NULL;
    bd_status st = describe(c, &any);
    if (!st) st = make_prim(c, any);
    md_destroy(any);
    if (st) {
        static const char *const names[] = {"forward", "backward data", "backward weights"};
        bd_conv_destroy(c);
        return bd_error_prefix(st, "convolution %s %dx%d/%d, %d->%d channels at %dx%d", names[dir],
                               s->attr.kh, s->attr.kw, s->attr.stride, s->i, s->o, s->h, s->w);
    }
    *out = c;
    return BD_OK;
}

void bd_conv_destroy(bd_conv *c) {
    if (!c) return;
    if (c->prim) dnnl_primitive_destroy(c->prim);
    if (c->pack) dnnl_primitive_destroy(c->pack);
    if (c->unpack) dnnl_primitive_destroy(c->unpack);
    if (c->pd) dnnl_primitive_desc_destroy(c->pd);
    md_destroy(c->x);
    md_destroy(c->y);
    md_destroy(c->b);
    md_destroy(c->plain);
    free(c);
}

const char *bd_conv_impl(const bd_conv *c) { return c->impl; }
size_t bd_conv_packed_bytes(const bd_conv *c) { return md_size(weights_md(c)); }

size_t bd_conv_scratch_bytes(const bd_conv *c) {
    return md_size(dnnl_primitive_desc_query_md(c->pd, dnnl_query_scratchpad_md, 0));
}

static bd_status add_arg(bd_conv_bound *b, int arg, md_const md, void *data) {
    BD_TRY(check(dnnl_memory_create(&b->mem[b->n], md, engine, data), "memory"));
    b->args[b->n] = (dnnl_exec_arg_t){arg, b->mem[b->n]};
    b->n++;
    return BD_OK;
}

static bd_status reorder(dnnl_primitive_t prim, md_const from, const void *src, md_const to,
                         void *dst) {
    bd_conv_bound b = {.prim = prim};
    bd_status st =
        check(dnnl_stream_create(&b.stream, engine, dnnl_stream_default_flags), "stream");
    if (!st) st = add_arg(&b, DNNL_ARG_FROM, from, (void *)(size_t)src);
    if (!st) st = add_arg(&b, DNNL_ARG_TO, to, dst);
    if (!st) st = bd_conv_run(&b);
    for (int i = 0; i < b.n; i++) dnnl_memory_destroy(b.mem[i]);
    if (b.stream) dnnl_stream_destroy(b.stream);
    return st;
}

bd_status bd_conv_pack(bd_conv *c, void *packed, const float *plain) {
    return reorder(c->pack, c->plain, plain, weights_md(c), packed);
}

bd_status bd_conv_unpack(bd_conv *c, float *plain, const void *packed) {
    return reorder(c->unpack, weights_md(c), packed, c->plain, plain);
}

static bd_status bind_args(bd_conv_bound *b, bd_conv *c, void *x, void *w, void *bias, void *y,
                           void *scratch) {
    bool fwd = c->dir == BD_CONV_FWD, bwd_data = c->dir == BD_CONV_BWD_DATA;
    BD_TRY(add_arg(b, bwd_data ? DNNL_ARG_DIFF_SRC : DNNL_ARG_SRC, c->x, x));
    BD_TRY(
        add_arg(b, fwd || bwd_data ? DNNL_ARG_WEIGHTS : DNNL_ARG_DIFF_WEIGHTS, weights_md(c), w));
    BD_TRY(add_arg(b, fwd ? DNNL_ARG_DST : DNNL_ARG_DIFF_DST, c->y, y));
    if (c->s.bias && !bwd_data)
        BD_TRY(add_arg(b, fwd ? DNNL_ARG_BIAS : DNNL_ARG_DIFF_BIAS, c->b, bias));
    return add_arg(b, DNNL_ARG_SCRATCHPAD,
                   dnnl_primitive_desc_query_md(c->pd, dnnl_query_scratchpad_md, 0), scratch);
}

bd_status bd_conv_bind(bd_conv_bound **out, bd_conv *c, void *x, void *w, void *bias, void *y,
                       void *scratch) {
    *out = NULL;
    bd_conv_bound *b = calloc(1, sizeof *b);
    BD_REQUIRE(b, BD_E_MEMORY, "oneDNN: out of memory");
    b->prim = c->prim;
    bd_status st =
        check(dnnl_stream_create(&b->stream, engine, dnnl_stream_default_flags), "stream");
    if (!st) st = bind_args(b, c, x, w, bias, y, scratch);
    if (st) {
        bd_conv_unbind(b);
        return st;
    }
    *out = b;
    return BD_OK;
}

void bd_conv_unbind(bd_conv_bound *b) {
    if (!b) return;
    for (int i = 0; i < b->n; i++) dnnl_memory_destroy(b->mem[i]);
    if (b->stream) dnnl_stream_destroy(b->stream);
    free(b);
}

bd_status bd_conv_run(bd_conv_bound *b) {
    BD_TRY(check(dnnl_primitive_execute(b->prim, b->stream, b->n, b->args), "execution"));
    return check(dnnl_stream_wait(b->stream), "execution");
}

void bd_onednn_version(char *out, size_t size) {
    const dnnl_version_t *v = dnnl_version();
    snprintf(out, size, "%d.%d.%d (isa %d)", v->major, v->minor, v->patch,
             (int)dnnl_get_effective_cpu_isa());
}
