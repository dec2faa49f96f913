/* The part of the backend interface that all devices share. */
#include "graph/backend.h"

void *bd_view_data(const bd_view *v, int tensor_id) { return v->data[tensor_id]; }
