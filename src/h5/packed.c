/* Rows of packed datasets by several threads. HDF5 unpacks on one, and keeps no chunk under MPI-IO.
 * One thread reads chunks as they lie in the file, which only the main thread may, while the others
 * unpack; when all are read, or none fits any more, it helps. */
#include "czhpc/h5_read.h"
#include "inflate.h"
#include "lzf.h"
#include "numbers.h"

#include <lzf.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

/* Chunks, unpacked, of all threads together; a chunk larger than this is left to HDF5. */
enum { SCRATCH_BYTES = 64 << 20, CHUNK_BYTES = 16 << 20 };

/* How a dataset is packed: perhaps shuffled, then compressed. */
typedef struct packing {
    int axes;
    hsize_t dim[2], chunk[2]; /* of one axis: columns 1 */
    int filters;
    unsigned shuffle; /* bytes of a value that are shuffled, 0 = not */
    H5Z_filter_t compression;
    size_t stored, wanted; /* bytes of a value in the file and as asked for */
    size_t chunk_bytes;
    h5_convert convert;
} packing;

static bool describe_filters(packing *p, hid_t list)
{
    p->filters = H5Pget_nfilters(list);
    for (int i = 0; i < p->filters; i++) {
        unsigned flags, info, value[LZF_VALUES] = {0};
        size_t values = LZF_VALUES;
        H5Z_filter_t id = H5Pget_filter2(list, (unsigned)i, &flags, &values, value, 0, NULL, &info);
        if (id == H5Z_FILTER_SHUFFLE && i == 0) p->shuffle = values > 0 ? value[0] : 0;
        else if (id == H5Z_FILTER_DEFLATE || id == LZF_FILTER) p->compression = id;
        else return false;
        if (id != H5Z_FILTER_SHUFFLE && i != p->filters - 1) return false;
    }
    return p->compression != 0;
}

static bool describe_chunks(packing *p, hid_t list, hid_t space)
{
    p->axes = H5Sget_simple_extent_ndims(space);
    if (p->axes != 1 && p->axes != 2) return false;
    p->dim[1] = p->chunk[1] = 1;
    if (H5Sget_simple_extent_dims(space, p->dim, NULL) < 0 || H5Pget_layout(list) != H5D_CHUNKED ||
        H5Pget_chunk(list, 2, p->chunk) != p->axes)
        return false;
    double bytes = (double)p->chunk[0] * (double)p->chunk[1] * (double)p->stored;
    p->chunk_bytes = bytes <= CHUNK_BYTES ? (size_t)bytes : 0;
    return p->chunk_bytes > 0;
}

/* False: a dataset that HDF5 must read. */
static bool describe(packing *p, hid_t dataset, hid_t type)
{
    hid_t list = H5Dget_create_plist(dataset), space = H5Dget_space(dataset);
    hid_t stored = H5Dget_type(dataset);
    *p = (packing){.wanted = H5Tget_size(type)};
    bool known = list >= 0 && space >= 0 && stored >= 0;
    if (known) {
        p->stored = H5Tget_size(stored);
        p->convert = h5_converter(stored, type);
        known = p->convert && describe_filters(p, list) && describe_chunks(p, list, space);
    }
    cz_h5_close(&stored);
    cz_h5_close(&space);
    cz_h5_close(&list);
    H5Eclear2(H5E_DEFAULT);
    return known;
}

/* A chunk as it lies in the file. */
typedef struct slot {
    enum { SLOT_FREE, SLOT_READ, SLOT_TAKEN } state;
    hsize_t at[2]; /* its first value */
    uint32_t mask; /* filters that were left out */
    unsigned char *raw;
    size_t size, room;
} slot;

typedef struct reading {
    packing p;
    hid_t dataset, type;
    char *values;
    hsize_t begin, end; /* rows */
    cz_pool *pool;
    int threads; /* that unpack */
    int slots;
    slot *slot;
    pthread_mutex_t lock; /* of states, `finished` and `damaged` */
    pthread_cond_t changed;
    bool finished; /* all is read, or no more will be */
    bool damaged;  /* a chunk could not be unpacked */
} reading;

/* One byte of all values after the other, back to values. What is left over was not shuffled. */
static void unshuffle(unsigned char *to, const unsigned char *from, size_t bytes, size_t value)
{
    size_t n = bytes / value;
    for (size_t b = 0; b < value; b++)
        for (size_t i = 0; i < n; i++) to[i * value + b] = from[b * n + i];
    memcpy(to + n * value, from + n * value, bytes - n * value);
}

/* What a thread unpacks with. */
typedef struct tools {
    inflater *inflater;
    unsigned char *scratch; /* (2, chunk_bytes) */
} tools;

/* The chunk's values, in scratch or where they were read; NULL: damaged. */
static const unsigned char *unpack(const packing *p, const slot *s, const tools *mine)
{
    unsigned char *scratch = mine->scratch;
    const unsigned char *from = s->raw;
    size_t size = s->size, bytes = p->chunk_bytes;
    if (!(s->mask >> (p->filters - 1) & 1)) {
        if (p->compression == LZF_FILTER) {
            size = lzf_decompress(from, (unsigned)size, scratch, (unsigned)bytes);
        } else {
            size = inflate_all(mine->inflater, scratch, bytes, from, size) ? bytes : 0;
        }
        from = scratch;
    }
    if (size != bytes) return NULL;
    if (p->shuffle > 1 && !(s->mask & 1)) {
        unshuffle(scratch + bytes, from, bytes, p->shuffle);
        from = scratch + bytes;
    }
    return from;
}

/* The wanted rows of a chunk, and its columns. */
typedef struct part {
    hsize_t row, rows, columns;
} part;

static part part_of(const reading *r, const slot *s)
{
    const packing *p = &r->p;
    hsize_t first = s->at[0] > r->begin ? s->at[0] : r->begin;
    hsize_t end = s->at[0] + p->chunk[0] < r->end ? s->at[0] + p->chunk[0] : r->end;
    hsize_t left = p->dim[1] - s->at[1];
    return (part){first, end - first, left < p->chunk[1] ? left : p->chunk[1]};
}

/* Puts them where they belong. */
static void put(const reading *r, const slot *s, const unsigned char *from)
{
    const packing *p = &r->p;
    part all = part_of(r, s);
    /* Where the chunk is as wide as the dataset, all at once. */
    bool whole = all.columns == p->dim[1] && all.columns == p->chunk[1];
    hsize_t steps = whole ? 1 : all.rows, values = whole ? all.rows * all.columns : all.columns;
    for (hsize_t k = 0; k < steps; k++) {
        hsize_t row = all.row + k;
        p->convert(r->values + ((row - r->begin) * p->dim[1] + s->at[1]) * p->wanted,
                   from + (row - s->at[0]) * p->chunk[1] * p->stored, values);
    }
}

/* A slot of that state, NULL if there is none. With the lock. */
static slot *find(const reading *r, int state)
{
    for (int i = 0; i < r->slots; i++)
        if ((int)r->slot[i].state == state) return &r->slot[i];
    return NULL;
}

/* With the lock, which is open meanwhile. */
static void unpack_slot(reading *r, slot *s, const tools *mine)
{
    s->state = SLOT_TAKEN;
    pthread_mutex_unlock(&r->lock);
    const unsigned char *from = unpack(&r->p, s, mine);
    if (from) put(r, s, from);
    pthread_mutex_lock(&r->lock);
    if (!from) r->damaged = true;
    s->state = SLOT_FREE;
    pthread_cond_broadcast(&r->changed);
}

static void unpack_all(reading *r, const tools *mine)
{
    pthread_mutex_lock(&r->lock);
    for (;;) {
        slot *s = find(r, SLOT_READ);
        if (s) unpack_slot(r, s, mine);
        else if (r->finished) break;
        else pthread_cond_wait(&r->changed, &r->lock);
    }
    pthread_mutex_unlock(&r->lock);
}

/* A slot to read into: this thread unpacks where no other does. */
static slot *free_slot(reading *r, const tools *mine)
{
    slot *s;
    pthread_mutex_lock(&r->lock);
    while (!(s = find(r, SLOT_FREE))) {
        slot *full = find(r, SLOT_READ);
        if (full) unpack_slot(r, full, mine);
        else pthread_cond_wait(&r->changed, &r->lock);
    }
    pthread_mutex_unlock(&r->lock);
    return s;
}

static cz_status damaged(const reading *r, const char *why)
{
    return cz_h5_fail(CZ_ERR_INPUT, r->dataset, NULL, "cannot be read: the file is damaged%s", why);
}

/* A chunk that is nowhere, or cannot be found, is left to HDF5: its values are the fill value. */
static cz_status read_part(const reading *r, const slot *s)
{
    const packing *p = &r->p;
    part all = part_of(r, s);
    hsize_t size[2] = {all.rows, all.columns}, room[2] = {r->end - r->begin, p->dim[1]};
    hsize_t from[2] = {all.row, s->at[1]}, to[2] = {all.row - r->begin, s->at[1]};
    hid_t space = H5Dget_space(r->dataset), memory = H5Screate_simple(p->axes, room, NULL);
    H5Sselect_hyperslab(space, H5S_SELECT_SET, from, NULL, size, NULL);
    H5Sselect_hyperslab(memory, H5S_SELECT_SET, to, NULL, size, NULL);
    bool failed = H5Dread(r->dataset, r->type, memory, space, H5P_DEFAULT, r->values) < 0;
    cz_status status = failed ? damaged(r, "") : CZ_OK;
    cz_h5_close(&memory);
    cz_h5_close(&space);
    return status;
}

/* *read: there is something to unpack. */
static cz_status read_slot(const reading *r, slot *s, bool *read)
{
    hsize_t size = 0;
    /* What can hardly be packed gets a little larger than it is. */
    hsize_t most = r->p.chunk_bytes + r->p.chunk_bytes / 8 + 4096;
    bool found = H5Dget_chunk_storage_size(r->dataset, s->at, &size) >= 0 && size > 0;
    H5Eclear2(H5E_DEFAULT);
    *read = false;
    if (!found) return read_part(r, s);
    if (size > most) return damaged(r, ": a chunk is larger packed than unpacked");
    s->size = (size_t)size;
    if (s->size > s->room) {
        free(s->raw);
        s->raw = malloc(s->size);
        s->room = s->raw ? s->size : 0;
        if (!s->raw) return cz_fail(CZ_ERR_MEMORY, "no memory for a chunk of %zu bytes", s->size);
    }
    *read = H5Dread_chunk(r->dataset, H5P_DEFAULT, s->at, &s->mask, s->raw) >= 0;
    return *read ? CZ_OK : damaged(r, "");
}

/* The slot is read; or none, and all is. */
static void tell(reading *r, slot *s)
{
    pthread_mutex_lock(&r->lock);
    if (s) s->state = SLOT_READ;
    else r->finished = true;
    pthread_cond_broadcast(&r->changed);
    pthread_mutex_unlock(&r->lock);
}

static cz_status read_all(reading *r, const tools *mine)
{
    const packing *p = &r->p;
    cz_status status = CZ_OK;
    for (hsize_t row = r->begin / p->chunk[0] * p->chunk[0]; row < r->end; row += p->chunk[0])
        for (hsize_t column = 0; column < p->dim[1] && !status; column += p->chunk[1]) {
            slot *s = free_slot(r, mine);
            s->at[0] = row;
            s->at[1] = column;
            bool read;
            status = read_slot(r, s, &read);
            if (read) tell(r, s);
        }
    return status;
}

static cz_status read_worker(void *context, int thread)
{
    reading *r = context;
    cz_status status = CZ_OK;
    if (thread >= r->threads) return CZ_OK;
    tools mine = {inflater_open(), malloc(2 * r->p.chunk_bytes)};
    bool able = mine.inflater && mine.scratch;
    if (!able)
        status = cz_fail(CZ_ERR_MEMORY, "no memory for chunks of %zu bytes", r->p.chunk_bytes);
    if (able && thread == 0) status = read_all(r, &mine);
    if (thread == 0) tell(r, NULL);
    if (able) unpack_all(r, &mine);
    inflater_close(mine.inflater);
    free(mine.scratch);
    return status;
}

static cz_status open_reading(reading *r)
{
    size_t most = SCRATCH_BYTES / (4 * r->p.chunk_bytes);
    int threads = cz_pool_threads(r->pool);
    r->threads = (size_t)threads < most ? threads : most > 1 ? (int)most : 1;
    r->slots = r->threads + 2;
    r->slot = cz_alloc((size_t)r->slots, sizeof *r->slot, "the chunks of a dataset");
    pthread_mutex_init(&r->lock, NULL);
    pthread_cond_init(&r->changed, NULL);
    return r->slot ? CZ_OK : CZ_ERR_MEMORY;
}

static void close_reading(reading *r)
{
    for (int i = 0; i < r->slots && r->slot; i++) free(r->slot[i].raw);
    free(r->slot);
    pthread_cond_destroy(&r->changed);
    pthread_mutex_destroy(&r->lock);
}

bool cz_h5_is_packed(hid_t file, const char *place, hid_t type)
{
    packing p;
    hid_t dataset = H5Dopen2(file, place, H5P_DEFAULT);
    bool is = dataset >= 0 && describe(&p, dataset, type);
    if (dataset >= 0) cz_h5_close(&dataset);
    H5Eclear2(H5E_DEFAULT);
    return is;
}

cz_status cz_h5_unpack(void *values, hid_t type, int64_t begin, int64_t count, hid_t file,
                       const char *place, cz_pool *pool)
{
    reading r = {.type = type, .values = values, .pool = pool};
    r.begin = (hsize_t)begin;
    r.end = (hsize_t)(begin + count);
    CZ_TRY(cz_h5_open_dataset(&r.dataset, file, place));
    if (!describe(&r.p, r.dataset, type) || r.end > r.p.dim[0]) {
        cz_h5_close(&r.dataset);
        return cz_fail(CZ_ERR_BUG, "%s: rows %lld and on cannot be unpacked", place,
                       (long long)begin);
    }
    cz_status status = open_reading(&r);
    if (!status) status = cz_pool_run(pool, read_worker, &r);
    if (!status && r.damaged) status = damaged(&r, ": a chunk cannot be unpacked");
    close_reading(&r);
    cz_h5_close(&r.dataset);
    return status;
}
