#include "run/manifest.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include <gnu/libc-version.h>
#include <openssl/crypto.h>
#include <jpeglib.h>
#include <png.h>
#include <zip.h>
#include <zlib.h>

#include "base/file.h"
#include "base/machine.h"
#include "bd_version.h"
#include "metric/frechet.h"

#define TEXT_OF(token) TEXT(token)
#define TEXT(token) #token

/* INI lines have an end: long text goes on in key.2, key.3 ... */
static bd_status write_long(bd_writer *w, const char *key, const char *text) {
    enum { PIECE = 120 };
    for (int part = 1; part == 1 || *text; part++) {
        size_t n = strlen(text);
        if (n > PIECE) {
            n = PIECE;
            while (n > 1 && text[n - 1] != ' ') n--;
            if (n == 1) n = PIECE;
        }
        char line[PIECE + 1];
        size_t k = 0;
        for (size_t i = 0; i < n; i++) line[k++] = iscntrl((unsigned char)text[i]) ? ' ' : text[i];
        line[k] = '\0';
        /* ';' and '#' would open a comment to a careless reader */
        for (size_t i = 0; i < k; i++)
            if (line[i] == ';' || line[i] == '#') line[i] = ',';
        if (part == 1)
            BD_TRY(bd_writer_printf(w, "%s = %s\n", key, line));
        else
            BD_TRY(bd_writer_printf(w, "%s.%d = %s\n", key, part, line));
        text += n;
    }
    return BD_OK;
}

static bd_status write_head(bd_writer *w, const bd_dag *d, const bd_stage *s,
                            const bd_backend *backend, int threads) {
    char fingerprint[2048], machine[BD_MACHINE_NAME];
    const bd_cell *cell = &d->cell[s->cell];
    BD_TRY(backend->fingerprint(backend, fingerprint, sizeof fingerprint));
    BD_TRY(
        bd_writer_printf(w,
                         "# How this stage was made. Run again with: baddiff run THIS --stage %s\n"
                         "[manifest]\nstage = %s\nid = %s\n",
                         s->name, s->name, s->id));
    for (int i = 0; i < s->n_in; i++)
        BD_TRY(
            bd_writer_printf(w, "input.%s = %s\n", s->in[i].role, d->stage[s->in[i].stage].name));
    if (s->kind == BD_KIND_fcd || s->kind == BD_KIND_moments || s->kind == BD_KIND_fid)
        BD_TRY(bd_writer_printf(w, "linear_algebra = %s\n", bd_frechet_library()));
    if (s->file_sha256[0])
        BD_TRY(bd_writer_printf(w, "%s_sha256 = %s\n", bd_stage_file(s->kind), s->file_sha256));
    BD_TRY(
        bd_writer_printf(w, "recipe = %s\nversion = %s\n", d->file[cell->file]->name, BD_VERSION));
    BD_TRY(write_long(w, "compiler", __VERSION__));
    BD_TRY(bd_writer_printf(
        w, "libraries = libpng %s, libjpeg-turbo %s, libzip %s, zlib %s, glibc %s\n",
        png_get_libpng_ver(NULL), TEXT_OF(LIBJPEG_TURBO_VERSION), zip_libzip_version(),
        zlibVersion(), gnu_get_libc_version()));
    BD_TRY(write_long(w, "crypto", OpenSSL_version(OPENSSL_VERSION)));
    BD_TRY(bd_writer_printf(w, "backend = %s\n", backend->name));
    BD_TRY(write_long(w, "fingerprint", fingerprint));
    /* not among what the bits depend on */
    bd_machine_label(machine);
    BD_TRY(write_long(w, "machine", machine));
    return bd_writer_printf(w, "threads = %d\n", threads);
}

static bd_status write_settings(bd_writer *w, const bd_recipe *r) {
    const char *section = "";
    char value[BD_TEXT_SIZE], fallback[BD_TEXT_SIZE];
    bd_recipe defaults;
    bd_recipe_defaults(&defaults);
    for (int i = 0; i < bd_field_count(); i++) {
        const bd_field *f = bd_field_at(i);
        bd_recipe_get(value, r, f);
        bd_recipe_get(fallback, &defaults, f);
        if (!strcmp(value, fallback) && strcmp(f->section, "attack") != 0) continue;
        if (!strcmp(f->name, "recipe.cells")) continue; /* its row is here already */
        if (strcmp(section, f->section) != 0) BD_TRY(bd_writer_printf(w, "\n[%s]\n", f->section));
        section = f->section;
        BD_TRY(bd_writer_printf(w, "%s = %s\n", f->key, value));
    }
    return BD_OK;
}

bd_status bd_manifest_write(const char *dir, const bd_dag *d, int stage, const bd_backend *backend,
                            int threads) {
    char path[1200];
    bd_writer *w;
    const bd_stage *s = &d->stage[stage];
    BD_TRY(bd_path_join(path, sizeof path, dir, "manifest.ini"));
    BD_TRY(bd_writer_create(&w, path));
    bd_status st = write_head(w, d, s, backend, threads);
    if (!st) st = write_settings(w, &d->cell[s->cell].recipe);
    if (st) {
        bd_writer_abort(w);
        return st;
    }
    return bd_writer_commit(w);
}
