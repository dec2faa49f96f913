// Memory blocks between two guard zones, all filled with 0xFF bytes (for the emulator's own files).
#ifndef BD_EMU_GUARD_H
#define BD_EMU_GUARD_H

#include <stddef.h>

// emu_guard_alloc -- n bytes, 64-byte aligned; NULL when there is no memory. AddressSanitizer sees the zones.
void *emu_guard_alloc(size_t n);
void emu_guard_free(void *p, size_t n);
// emu_guard_check -- NULL when both zones are as they were, else "before" or "behind".
const char *emu_guard_check(void *p, size_t n);

// emu_run_call -- what emu_launch_call puts on a stream.
struct emu_call;
void emu_run_call(void *call);
// emu_last_kernel -- the name of the kernel that ran last on this thread, for error texts.
const char *emu_last_kernel(char *out, size_t n);
// emu_take_error -- the code raised on this thread since the last call, 0 = none; and the one that waits for
// stream_sync.
int emu_take_error();
int emu_take_pending();
const char *emu_error_text(int code);

#endif
