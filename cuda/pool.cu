#include "kernel.h"
void fill_pool(cuda_tables) {}
