#include "base/sha256.h"

#include <openssl/evp.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"

enum { DIGEST_BYTES = 32, READ_BYTES = 256 * 1024 };

struct bd_sha256 {
    EVP_MD_CTX *md;
};

bd_status bd_sha256_create(bd_sha256 **out) {
    *out = NULL;
    bd_sha256 *s = malloc(sizeof *s);
    BD_REQUIRE(s, BD_E_MEMORY, "SHA-256: out of memory");
    s->md = EVP_MD_CTX_new();
    if (!s->md || EVP_DigestInit_ex(s->md, EVP_sha256(), NULL) != 1) {
        EVP_MD_CTX_free(s->md);
        free(s);
        return bd_fail(BD_E_DEVICE, "SHA-256: libcrypto offers no SHA-256 here");
    }
    *out = s;
    return BD_OK;
}

/* After a successful init libcrypto's software digest cannot fail; a failure all the same shows in the hash as
 * zeros, which no comparison accepts. */
void bd_sha256_update(bd_sha256 *s, const void *data, size_t n) {
    if (s->md && EVP_DigestUpdate(s->md, data, n) != 1) {
        EVP_MD_CTX_free(s->md);
        s->md = NULL;
    }
}

void bd_sha256_finish(bd_sha256 *s, char hex[65]) {
    static const char digits[] = "0123456789abcdef";
    unsigned char digest[EVP_MAX_MD_SIZE] = {0};
    if (s->md && EVP_DigestFinal_ex(s->md, digest, NULL) != 1) memset(digest, 0, sizeof digest);
    for (int i = 0; i < DIGEST_BYTES; i++) {
        hex[2 * i] = digits[digest[i] >> 4];
        hex[2 * i + 1] = digits[digest[i] & 15];
    }
    hex[2 * DIGEST_BYTES] = '\0';
    EVP_MD_CTX_free(s->md);
    free(s);
}

bd_status bd_sha256_buffer(char hex[65], const void *data, size_t n) {
    bd_sha256 *s;
    BD_TRY(bd_sha256_create(&s));
    bd_sha256_update(s, data, n);
    bd_sha256_finish(s, hex);
    return BD_OK;
}

bd_status bd_sha256_file(char hex[65], const char *path) {
    bd_reader *r = NULL;
    bd_sha256 *s = NULL;
    uint64_t left;
    bd_status st;
    unsigned char *buf = malloc(READ_BYTES);
    if (!buf) BD_FAIL_TO(done, st, BD_E_MEMORY, "%s: out of memory", path);
    BD_TRY_TO(done, st, bd_reader_open(&r, &left, path));
    BD_TRY_TO(done, st, bd_sha256_create(&s));
    while (left) {
        size_t n = left < READ_BYTES ? (size_t)left : READ_BYTES;
        BD_TRY_TO(done, st, bd_reader_read(r, buf, n));
        bd_sha256_update(s, buf, n);
        left -= n;
    }
done:
    if (s) {
        char unused[65];
        bd_sha256_finish(s, st ? unused : hex);
    }
    bd_reader_close(r);
    free(buf);
    return st;
}
