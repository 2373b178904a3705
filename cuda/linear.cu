#include "kernel.h"
void fill_linear(cuda_tables) {}
