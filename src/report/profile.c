/* Where the time of a job went: from the records of all ranks to a table and a trace. */
#include "profile.h"
#include "czhpc/log.h"
#include "czhpc/report.h"

#include <stdlib.h>
#include <string.h>

/* What a rank tells the others of its record. */
typedef struct head {
    int32_t threads, nodes, events;
    int64_t wall, calls, lost;
} head;

/* Rank 0's: the records as they came. Elsewhere only heads and counts. */
typedef struct gathered {
    const cz_comm *comm;
    head *head;                /* (ranks) */
    int *one, *nodes, *events; /* (ranks) */
    cz_profile_node *node;     /* rank by rank */
    int32_t *row;              /* of each node */
    profile_rows rows;
} gathered;

double profile_workers(const profile_rows *all, const profile_row *row)
{
    return (double)all->ranks * (row->shared ? all->threads : 1);
}

static cz_status exchange_heads(gathered *g, const cz_profile *mine)
{
    size_t ranks = (size_t)g->comm->size;
    head own = {mine->threads, mine->nodes, mine->events, mine->wall, mine->calls, mine->lost};
    g->head = cz_alloc(ranks, sizeof *g->head, "the profile");
    g->one = cz_alloc(ranks, sizeof *g->one, "the profile");
    g->nodes = cz_alloc(ranks, sizeof *g->nodes, "the profile");
    g->events = cz_alloc(ranks, sizeof *g->events, "the profile");
    bool room = g->head && g->one && g->nodes && g->events;
    CZ_TRY(cz_comm_agree(g->comm, room ? CZ_OK : CZ_ERR_MEMORY));
    for (size_t r = 0; r < ranks; r++) g->one[r] = 1;
    CZ_TRY(cz_comm_gather_all(g->comm, g->head, &own, g->one, sizeof own));
    for (size_t r = 0; r < ranks; r++) {
        g->nodes[r] = g->head[r].nodes;
        g->events[r] = g->head[r].events;
    }
    return CZ_OK;
}

static cz_status allocate(gathered *g)
{
    size_t nodes = 0, events = 0, ranks = (size_t)g->comm->size;
    for (size_t r = 0; r < ranks; r++) {
        nodes += (size_t)g->nodes[r];
        events += (size_t)g->events[r];
    }
    g->node = cz_alloc(nodes, sizeof *g->node, "the profile");
    g->row = cz_alloc(nodes, sizeof *g->row, "the profile");
    g->rows.row = cz_alloc(nodes, sizeof *g->rows.row, "the profile");
    g->rows.event = cz_alloc(events, sizeof *g->rows.event, "the profile");
    g->rows.rank_events = g->events;
    g->rows.events = (int64_t)events;
    return g->node && g->row && g->rows.row && g->rows.event ? CZ_OK : CZ_ERR_MEMORY;
}

static cz_status gather(gathered *g, const cz_profile *mine)
{
    CZ_TRY(exchange_heads(g, mine));
    CZ_TRY(cz_comm_agree(g->comm, g->comm->rank ? CZ_OK : allocate(g)));
    CZ_TRY(cz_comm_gather(g->comm, g->node, mine->node, g->nodes, sizeof *g->node));
    return cz_comm_gather(g->comm, g->rows.event, mine->event, g->events, sizeof *mine->event);
}

static int find_row(profile_rows *all, const cz_profile_node *n, int parent)
{
    for (int i = 0; i < all->rows; i++)
        if (all->row[i].node.parent == parent && !strcmp(all->row[i].node.name, n->name)) return i;
    profile_row *row = &all->row[all->rows];
    *row = (profile_row){.node = {.parent = parent, .kind = n->kind}, .step = -1};
    memcpy(row->node.name, n->name, sizeof n->name);
    return all->rows++;
}

/* All ranks' nodes in one table of sums. */
static void merge(gathered *g)
{
    profile_rows *all = &g->rows;
    const cz_profile_node *from = g->node;
    int32_t *row = g->row;
    cz_profile_event *event = all->event;
    all->ranks = g->comm->size;
    for (int r = 0; r < all->ranks; r++) {
        const head *h = &g->head[r];
        for (int i = 0; i < h->nodes; i++) {
            row[i] = find_row(all, &from[i], from[i].parent < 0 ? -1 : row[from[i].parent]);
            cz_profile_node *sum = &all->row[row[i]].node;
            sum->shared |= from[i].shared;
            sum->calls += from[i].calls;
            sum->ns += from[i].ns;
            sum->flops += from[i].flops;
        }
        for (int e = 0; e < h->events; e++) event[e].node = row[event[e].node];
        if (h->threads > all->threads) all->threads = h->threads;
        all->wall += 1e-9 * (double)h->wall / all->ranks;
        all->calls += h->calls;
        all->lost += h->lost;
        from += h->nodes;
        row += h->nodes;
        event += h->events;
    }
}

/* What below a shared span the main thread alone does counts as shared: so its time and that of
 * the others have one measure, and parts are never more than the whole. */
static void take_means(profile_rows *all)
{
    for (int i = 0; i < all->rows; i++) {
        profile_row *row = &all->row[i];
        const profile_row *parent = row->node.parent < 0 ? NULL : &all->row[row->node.parent];
        row->shared = row->node.shared || (parent && parent->shared);
        row->step = row->node.kind == CZ_SPAN_STEP ? i : parent ? parent->step : -1;
        row->seconds = 1e-9 * (double)row->node.ns / profile_workers(all, row);
    }
    for (int i = all->rows - 1; i > 0; i--) {
        profile_row *parent = &all->row[all->row[i].node.parent];
        parent->node.flops += all->row[i].node.flops;
        parent->children += all->row[i].seconds;
    }
}

static void find_worst(gathered *g)
{
    profile_rows *all = &g->rows;
    for (int r = 0, at = 0; r < all->ranks; r++)
        for (int i = 0; i < g->nodes[r]; i++, at++) {
            profile_row *row = &all->row[g->row[at]];
            double seconds = 1e-9 * (double)g->node[at].ns / (row->shared ? all->threads : 1);
            if (seconds <= row->worst) continue;
            row->worst = seconds;
            row->worst_rank = r;
        }
}

static cz_status tell(gathered *g, const char *folder)
{
    merge(g);
    if (!g->rows.calls) {
        cz_note("Profile      nothing was done");
        return CZ_OK;
    }
    take_means(&g->rows);
    find_worst(g);
    CZ_TRY(profile_print(&g->rows));
    return folder ? profile_write(folder, &g->rows) : CZ_OK;
}

cz_status cz_profile_report(const char *folder, const cz_comm *comm)
{
    gathered g = {.comm = comm};
    cz_profile mine;
    cz_status status = cz_comm_agree(comm, cz_profile_take(&mine));
    if (!status) status = gather(&g, &mine);
    if (!status) status = cz_comm_agree(comm, comm->rank ? CZ_OK : tell(&g, folder));
    cz_profile_free(&mine);
    free(g.head);
    free(g.one);
    free(g.nodes);
    free(g.events);
    free(g.node);
    free(g.row);
    free(g.rows.row);
    free(g.rows.event);
    return status;
}
