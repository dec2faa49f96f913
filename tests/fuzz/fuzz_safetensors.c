/* safetensors files. */
#include "io/safetensors.h"
#define LOADER bd_safetensors_load
#include "tensors_target.h"
