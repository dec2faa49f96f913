/* manifest.ini of a stage: all that its bits depend on, as a recipe that can be run again. */
#ifndef BD_RUN_MANIFEST_H
#define BD_RUN_MANIFEST_H

#include "graph/backend.h"
#include "run/plan.h"

/* bd_manifest_write -- DIR/manifest.ini: section [manifest] with the stage, its id and inputs, program
 * version, compiler, libraries, backend and fingerprint; then the settings of the cell that first asked
 * for it, defaults left out, so that `baddiff run DIR/manifest.ini --stage ID` makes it anew.
 *   errors   BD_E_IO, BD_E_DEVICE
 *   tested   tests/test_smoke.sh */
BD_MUST_CHECK bd_status bd_manifest_write(const char *dir, const bd_dag *d, int stage,
                                          const bd_backend *backend, int threads);

#endif
