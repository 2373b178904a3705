/* Which texts walk through the model together. */
#include "text_model.h"

#include "czhpc/text.h"

#include <stdlib.h>
#include <string.h>

/* More rows spare packing the weights again, fewer keep the activations in the cache. */
enum { ROWS = 256 };

static cz_status tokenize(text_plan *plan, const text_model *model, char *const *text)
{
    int32_t unknown = cz_tokenizer_unknown(model->tokenizer);
    for (int i = 0; i < plan->count; i++) {
        bool cut, odd = false;
        size_t size = strlen(text[i]);
        if (cz_text_utf8(text[i], size) < size) {
            char shown[128];
            return cz_fail(CZ_ERR_INPUT, "label %d of %d, '%s', is not UTF-8", i + 1, plan->count,
                           cz_text_printable(shown, sizeof shown, text[i]));
        }
        CZ_TRY(cz_tokenize(model->tokenizer, text[i], size, model->limit, &plan->id[i],
                           &plan->length[i], &cut));
        for (int t = 0; t < plan->length[i]; t++) odd = odd || plan->id[i][t] == unknown;
        plan->cut += cut;
        plan->unknown += odd;
    }
    return CZ_OK;
}

static int by_length(const void *a, const void *b, void *lengths)
{
    const int *length = lengths;
    int i = *(const int *)a, j = *(const int *)b;
    return length[i] != length[j] ? (length[i] > length[j]) - (length[i] < length[j])
                                  : (i > j) - (i < j);
}

static void cut_batches(text_plan *plan, int workers)
{
    int longest = plan->count ? plan->length[plan->order[plan->count - 1]] : 1;
    long total = 0;
    for (int i = 0; i < plan->count; i++) total += plan->length[i];
    long share = (total + workers - 1) / workers;
    plan->rows = share < ROWS ? (int)share : ROWS;
    if (plan->rows < longest) plan->rows = longest;
    for (int i = 0; i < plan->count; i++) {
        int cells = plan->batches ? i - plan->begin[plan->batches - 1] + 1 : 0;
        bool fits = plan->batches && cells <= plan->rows / plan->length[plan->order[i]];
        if (!fits) plan->begin[plan->batches++] = i;
    }
    plan->begin[plan->batches] = plan->count;
}

cz_status text_plan_make(text_plan *plan, const text_model *model, char *const *text, int count,
                         int workers)
{
    size_t n = (size_t)count;
    *plan = (text_plan){.count = count};
    plan->id = cz_alloc(n, sizeof *plan->id, "texts");
    plan->length = cz_alloc(n, sizeof *plan->length, "texts");
    plan->order = cz_alloc(n, sizeof *plan->order, "texts");
    plan->begin = cz_alloc(n + 1, sizeof *plan->begin, "texts");
    if (!plan->id || !plan->length || !plan->order || !plan->begin) return CZ_ERR_MEMORY;
    CZ_TRY(tokenize(plan, model, text));
    for (int i = 0; i < count; i++) plan->order[i] = i;
    qsort_r(plan->order, n, sizeof *plan->order, by_length, plan->length);
    cut_batches(plan, workers);
    return CZ_OK;
}

void text_plan_free(text_plan *plan)
{
    for (int i = 0; plan->id && i < plan->count; i++) free(plan->id[i]);
    free(plan->id);
    free(plan->length);
    free(plan->order);
    free(plan->begin);
    *plan = (text_plan){0};
}
