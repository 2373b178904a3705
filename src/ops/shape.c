#include "shape.h"

#include "czhpc/rng.h"

#include <stdio.h>

typedef struct text {
    char at[96];
} text;

static text shape_text(cz_tensor t)
{
    text s;
    int n = snprintf(s.at, sizeof s.at, "(");
    for (int i = 0; i < t.rank && i < 4; i++)
        n += snprintf(s.at + n, sizeof s.at - (size_t)n, i ? ", %d" : "%d", t.dim[i]);
    n += snprintf(s.at + n, sizeof s.at - (size_t)n, ") %s", cz_dtype_name(t.dtype));
    if (t.rank > 0 && t.ld != cz_cols(t))
        n += snprintf(s.at + n, sizeof s.at - (size_t)n, ", rows %d apart", t.ld);
    if (!t.data) snprintf(s.at + n, sizeof s.at - (size_t)n, ", no data");
    return s;
}

static bool sound(cz_tensor t)
{
    if (t.rank < 1 || t.rank > 4) return false;
    for (int i = 0; i < t.rank; i++)
        if (t.dim[i] < 0) return false;
    bool empty = cz_rows(t) == 0 || cz_cols(t) == 0;
    return t.ld >= cz_cols(t) && (t.data || empty);
}

static cz_status misfit(const cz_fit *fit, const char *name, cz_tensor t, cz_tensor wanted)
{
    wanted.dtype = fit->dtype;
    wanted.data = &wanted;
    wanted.ld = cz_cols(wanted);
    return cz_fail(CZ_ERR_BUG, "cz_%s: %s is %s but must be %s, as %s is %s", fit->op, name,
                   shape_text(t).at, shape_text(wanted).at, fit->name, shape_text(fit->to).at);
}

static cz_status fits(const cz_fit *fit, const char *name, cz_tensor t, cz_tensor wanted)
{
    bool same = sound(t) && t.dtype == fit->dtype && t.rank == wanted.rank;
    for (int i = 0; same && i < t.rank; i++) same = t.dim[i] == wanted.dim[i];
    return same ? CZ_OK : misfit(fit, name, t, wanted);
}

cz_fit cz_fit_wide(cz_fit fit)
{
    fit.dtype = cz_dtype_wide(fit.dtype);
    return fit;
}

cz_fit cz_fit_either(cz_fit fit, cz_tensor t)
{
    return t.dtype == cz_dtype_wide(fit.dtype) ? cz_fit_wide(fit) : fit;
}

cz_status cz_fit_matrix(const cz_fit *fit, const char *name, cz_tensor t, int rows, int cols)
{
    cz_tensor wanted = cz_matrix(NULL, fit->dtype, rows, cols);
    if (!sound(t) || t.dtype != fit->dtype || cz_rows(t) != rows || cz_cols(t) != cols)
        return misfit(fit, name, t, wanted);
    return CZ_OK;
}

cz_status cz_fit_vector(const cz_fit *fit, const char *name, cz_tensor t, int n)
{
    return fits(fit, name, t, cz_vector(NULL, fit->dtype, n));
}

cz_status cz_fit_tensor3(const cz_fit *fit, const char *name, cz_tensor t, int a, int b, int c)
{
    return fits(fit, name, t, cz_tensor3(NULL, fit->dtype, a, b, c));
}

cz_status cz_fit_tensor4(const cz_fit *fit, const char *name, cz_tensor t, int a, int b, int c,
                         int d)
{
    return fits(fit, name, t, cz_tensor4(NULL, fit->dtype, a, b, c, d));
}

cz_status cz_fit_self(const cz_fit *fit, int rank)
{
    if (!sound(fit->to) || fit->to.dtype != fit->dtype || (rank && fit->to.rank != rank))
        return cz_fail(CZ_ERR_BUG, "cz_%s: %s is %s but must be sound%s%.0d, %s", fit->op,
                       fit->name, shape_text(fit->to).at, rank ? ", of rank " : "", rank,
                       cz_dtype_name(fit->dtype));
    return CZ_OK;
}

cz_status cz_fit_parts(const cz_fit *fit, int parts)
{
    if (parts < 1 || cz_cols(fit->to) % parts)
        return cz_fail(CZ_ERR_BUG, "cz_%s: %s is %s, which %d heads cannot share", fit->op,
                       fit->name, shape_text(fit->to).at, parts);
    return CZ_OK;
}

cz_status cz_fit_dropout(const cz_fit *fit, const cz_dropout *drop, int cells, double elements)
{
    if (!drop) return CZ_OK;
    const double most = 8.0 * (1 << 24); /* what the counter's blocks can number */
    if (!(drop->p >= 0) || cz_dropout_threshold(drop->p) >= 65536 || elements > most ||
        drop->site >= 256 - CZ_RNG_DROPOUT || (cells && (!drop->cell || !drop->bits)))
        return cz_fail(CZ_ERR_BUG,
                       "cz_%s: dropout of site %u, p %g over %.0f elements of each of %d cells "
                       "does not fit %s, %s",
                       fit->op, drop->site, drop->p, elements, cells, fit->name,
                       shape_text(fit->to).at);
    return CZ_OK;
}
