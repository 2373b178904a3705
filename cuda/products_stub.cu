#include "device.h"
cz_status group_id(char *) { return CZ_OK; }
cz_status group_join(cz_gpu *, const char *, int, int) { return CZ_OK; }
cz_status group_sum(cz_gpu *, void *, size_t, cz_dtype) { return CZ_OK; }
void group_leave(device *) {}
cz_status products_open(device *) { return CZ_OK; }
void products_close(device *) {}
