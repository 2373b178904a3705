#include "kernel.h"
void fill_attention(cuda_tables) {}
