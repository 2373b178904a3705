#include "czhpc/profile.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { NODES = 2048 }; /* places of a thread */

typedef struct node {
    const char *name;
    int32_t parent, child, sibling; /* -1: none */
    cz_span_kind kind;
    int64_t calls, ns;
    double flops;
} node;

struct cz_lane {
    int thread, at, nodes, events, room;
    int steps; /* that are open */
    int64_t lost;
    int followed, followed_at; /* a place of the main thread, and the same one here */
    cz_profile_event *event;
    node node[NODES];
};

static struct {
    cz_lane **lane; /* (lanes) by thread; the main one's to read and write */
    cz_lane *main; /* lane[0]; pools' threads read where it is, while it waits or works with them */
    int lanes, events;
    int64_t origin;
} profile;

_Thread_local cz_lane *cz_profile_lane;

int64_t cz_profile_clock(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static int add_node(cz_lane *lane, int parent, const char *name, cz_span_kind kind)
{
    if (lane->nodes == NODES) return -1;
    int at = lane->nodes++;
    lane->node[at] = (node){name, parent, -1, -1, kind, 0, 0, 0};
    return at;
}

/* The node of a name below another; -1: there is no room for it. Literals that are equal may have
 * several addresses; cz_profile_take() brings them together. */
static int child_of(cz_lane *lane, int parent, const char *name, cz_span_kind kind)
{
    int32_t *link = &lane->node[parent].child;
    while (*link >= 0) {
        if (lane->node[*link].name == name) return *link;
        link = &lane->node[*link].sibling;
    }
    return *link = add_node(lane, parent, name, kind);
}

cz_span cz_span_open(const char *name, cz_span_kind kind, double flops)
{
    cz_lane *lane = cz_profile_lane;
    int at = child_of(lane, lane->at, name, kind);
    if (at < 0) {
        lane->lost++;
        return (cz_span){NULL, 0, kind};
    }
    lane->node[at].flops += flops;
    lane->steps += kind == CZ_SPAN_STEP;
    lane->at = at;
    return (cz_span){lane, cz_profile_clock(), kind};
}

/* The last eighth of the room is for phases, the first half for what is in no step. */
static bool has_room(const cz_lane *lane, cz_span_kind kind)
{
    int room = lane->room;
    if (kind != CZ_SPAN_PHASE) room = lane->steps ? room / 8 * 7 : room / 2;
    return lane->events < room;
}

void cz_span_close(cz_span *span, int64_t end)
{
    cz_lane *lane = span->lane;
    node *n = &lane->node[lane->at];
    int64_t ns = end - span->begin;
    n->calls++;
    n->ns += ns;
    if (has_room(lane, span->kind))
        lane->event[lane->events++] =
            (cz_profile_event){span->begin - profile.origin, ns, lane->at, lane->thread};
    lane->steps -= span->kind == CZ_SPAN_STEP;
    lane->at = n->parent;
}

static void free_lane(cz_lane *lane)
{
    if (!lane) return;
    free(lane->event);
    free(lane);
}

static cz_status open_lane(int thread)
{
    cz_lane *lane = cz_alloc(1, sizeof *lane, "the profile of a thread");
    if (!lane) return CZ_ERR_MEMORY;
    profile.lane[thread] = lane;
    lane->thread = thread;
    lane->room = profile.events;
    lane->event = cz_alloc((size_t)profile.events, sizeof *lane->event, "the profile of a thread");
    add_node(lane, -1, "job", CZ_SPAN_PHASE);
    return lane->event ? CZ_OK : CZ_ERR_MEMORY;
}

cz_status cz_profile_reserve(int threads)
{
    if (!profile.lanes || threads <= profile.lanes) return CZ_OK;
    cz_lane **more = cz_alloc((size_t)threads, sizeof *more, "the profile of the threads");
    if (!more) return CZ_ERR_MEMORY;
    memcpy(more, profile.lane, (size_t)profile.lanes * sizeof *more);
    free(profile.lane);
    profile.lane = more;
    while (profile.lanes < threads) CZ_TRY(open_lane(profile.lanes++));
    return CZ_OK;
}

cz_status cz_profile_open(int64_t origin, int events)
{
    profile.origin = origin;
    profile.events = events;
    profile.lane = cz_alloc(1, sizeof *profile.lane, "the profile of the threads");
    if (!profile.lane) return CZ_ERR_MEMORY;
    profile.lanes = 1;
    cz_status status = open_lane(0);
    if (status) cz_profile_close();
    else cz_profile_lane = profile.main = profile.lane[0];
    return status;
}

void cz_profile_close(void)
{
    cz_profile_lane = NULL;
    for (int t = 0; t < profile.lanes; t++) free_lane(profile.lane[t]);
    free(profile.lane);
    profile.lane = NULL;
    profile.lanes = 0;
}

cz_lane *cz_profile_lane_of(int thread)
{
    return thread < profile.lanes ? profile.lane[thread] : NULL;
}

int cz_profile_place(void) { return cz_profile_lane ? cz_profile_lane->at : 0; }

/* The place of the main thread in a lane; 0 where it has no room. */
static int same_place(cz_lane *lane, const cz_lane *main, int place)
{
    if (place == 0) return 0;
    const node *n = &main->node[place];
    int at = child_of(lane, same_place(lane, main, n->parent), n->name, n->kind);
    return at < 0 ? 0 : at;
}

void cz_profile_follow(int place)
{
    cz_lane *lane = cz_profile_lane;
    if (!lane) return;
    if (lane->followed != place) lane->followed_at = same_place(lane, profile.main, place);
    lane->followed = place;
    lane->at = lane->followed_at;
}

/* The sum of a name below `parent`, or a new and empty one, for which there is room. */
static int find_sum(cz_profile_node *all, int *count, const char *name, int parent, int kind)
{
    for (int i = 0; i < *count; i++)
        if (all[i].parent == parent && strcmp(all[i].name, name) == 0) return i;
    cz_profile_node *n = &all[*count];
    *n = (cz_profile_node){.parent = parent, .kind = kind};
    strncpy(n->name, name, sizeof n->name - 1);
    return (*count)++;
}

/* Adds what a thread did; its events get the numbers of the nodes that it was added to. */
static void add_lane(cz_profile *to, const cz_lane *lane)
{
    int32_t where[NODES] = {0};
    for (int i = 0; i < lane->nodes; i++) {
        const node *n = &lane->node[i];
        int parent = n->parent < 0 ? -1 : where[n->parent];
        where[i] = find_sum(to->node, &to->nodes, n->name, parent, n->kind);
        cz_profile_node *sum = &to->node[where[i]];
        sum->shared |= lane->thread > 0 && n->calls > 0;
        sum->calls += n->calls;
        sum->ns += n->ns;
        sum->flops += n->flops;
        to->calls += n->calls;
    }
    for (int i = 0; i < lane->events; i++) {
        to->event[to->events] = lane->event[i];
        to->event[to->events++].node = where[lane->event[i].node];
    }
    to->lost += lane->lost;
}

cz_status cz_profile_take(cz_profile *to)
{
    size_t nodes = 1, events = 0;
    for (int t = 0; t < profile.lanes; t++) {
        nodes += (size_t)profile.lane[t]->nodes;
        events += (size_t)profile.lane[t]->events;
    }
    *to = (cz_profile){.threads = profile.lanes};
    to->wall = cz_profile_clock() - profile.origin;
    to->node = cz_alloc(nodes, sizeof *to->node, "the profile");
    to->event = cz_alloc(events, sizeof *to->event, "the profile");
    if (!to->node || !to->event) {
        cz_profile_free(to);
        return CZ_ERR_MEMORY;
    }
    for (int t = 0; t < profile.lanes; t++) add_lane(to, profile.lane[t]);
    to->node[0].calls = 1;
    to->node[0].ns = to->wall;
    return CZ_OK;
}

void cz_profile_free(cz_profile *taken)
{
    free(taken->node);
    free(taken->event);
    *taken = (cz_profile){0};
}
