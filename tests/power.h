/* Power failures for tests of file work: what a disk may hold when the power goes at any moment. While it records, an I/O
 * table notes what is written, synced, renamed and removed in one folder. Afterwards every state is built that the rules
 * allow, once each, and shown to a function of the test.
 *
 * The rules are the pessimistic reading of POSIX: what an fsync of the file returned for is there; of what was written
 * since, any number of writes from the front, the next one perhaps by half; names appear, change and vanish in any
 * combination as long as each name's own changes are in order, until an fsync of the folder; a name may lead to a file whose
 * content never got there. */
#ifndef BD_TESTS_POWER_H
#define BD_TESTS_POWER_H

#include <stdbool.h>

/* power_record -- forget what was recorded and take DIR, without folders below, as it lies there now for durable. */
void power_record(const char *dir);
/* power_done -- the call under test has returned success: from here on its result must be there. */
void power_done(void);
/* power_stop -- back to POSIX. */
void power_stop(void);

/* power_enumerate -- build each state in SCRATCH and call look with whether the call under test had returned; look says
 * whether the state is all right. Returns the number of states; *bad counts those that are not. */
int power_enumerate(const char *scratch, bool (*look)(void *ctx, const char *dir, bool returned),
                    void *ctx, int *bad);

#endif
