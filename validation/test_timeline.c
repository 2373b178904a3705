/* The timeline of a queue of work items: its order and its idle time. */
#include "../src/search/queue_parts.h"
#include "check.h"

/* Two groups until 4 s, when there is no more: one is idle for 0.5 s twice, the other for 1 s. */
static void check_idle(void)
{
    static const cz_stretch told[] = {{1, 0, 0, 1}, {0, 1, 0.5, 2}, {0, 3, 2.5, 6}, {1, 2, 1, 3}};
    cz_timeline t = {.groups = 2};
    int room = 0;
    cz_status status = CZ_OK;
    for (int i = 0; i < 4 && !status; i++) status = cz_timeline_add(&t, &room, told[i]);
    cz_timeline_finish(&t, 4);
    bool sorted = !status && t.count == 4;
    for (int i = 0; i < 4 && sorted; i++) sorted = t.stretch[i].item == i;
    check(sorted, "stretches are in the order of their ends");
    check(t.idle == 0.25 && t.longest_idle == 1, "idle %g of the time, %g s at once", t.idle,
          t.longest_idle);
    cz_timeline_free(&t);
}

static void check_nothing(void)
{
    cz_timeline t = {.groups = 2};
    cz_timeline_finish(&t, 0);
    check(t.idle == 0 && t.longest_idle == 0, "no time, none idle");
    cz_timeline_finish(&t, 2);
    check(t.idle == 1 && t.longest_idle == 2, "no item, all idle");
    cz_timeline_free(&t);
}

int main(void)
{
    check_idle();
    check_nothing();
    return check_done();
}
