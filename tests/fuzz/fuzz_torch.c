/* PyTorch files of both layouts, through the detection by content. */
#define LOADER bd_tensors_load
#include "tensors_target.h"
