/* How far probabilities can be believed. */
#include "metrics.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>

static const double COLDEST = 0.01, HOTTEST = 100;

/* p (classes) = softmax of the logits over a temperature 1 / beta; returns the logarithm of
 * p[truth], which does not underflow. */
static double softmax(double *p, const float *log_prob, int classes, double beta, int truth)
{
    double top = (double)log_prob[0], sum = 0;
    for (int c = 1; c < classes; c++) top = fmax(top, (double)log_prob[c]);
    for (int c = 0; c < classes; c++) {
        p[c] = exp(beta * ((double)log_prob[c] - top));
        sum += p[c];
    }
    for (int c = 0; c < classes; c++) p[c] /= sum;
    return beta * ((double)log_prob[truth] - top) - log(fmax(sum, 1)); /* the top adds 1 */
}

typedef struct slope {
    double first, second;
} slope;

/* Derivatives by beta of the mean negative log-likelihood: with l the logarithms of the
 * probabilities, mean(E_p l - l_truth) and mean(Var_p l); the second shows that it is convex. */
static slope loss_slope(const known_cells *known, double beta, double *p)
{
    slope s = {0, 0};
    for (int i = 0; i < known->n; i++) {
        const float *l = known_row(known, i);
        softmax(p, l, known->classes, beta, 0);
        double at = (double)l[known->truth[i]], mean = 0, variance = 0;
        for (int c = 0; c < known->classes; c++) mean += p[c] * ((double)l[c] - at);
        for (int c = 0; c < known->classes; c++) {
            double gap = (double)l[c] - at - mean;
            variance += p[c] * gap * gap;
        }
        s.first += mean;
        s.second += variance;
    }
    return (slope){s.first / known->n, s.second / known->n};
}

/* Newton's steps on the slope, between ends that close in on its root. */
static double least_loss(const known_cells *known, double *p)
{
    double low = 1 / HOTTEST, high = 1 / COLDEST, beta = 1;
    if (loss_slope(known, beta, p).first == 0) return beta;
    if (loss_slope(known, low, p).first >= 0) return low;
    if (loss_slope(known, high, p).first <= 0) return high;
    for (int i = 0; i < 200; i++) {
        slope s = loss_slope(known, beta, p);
        *(s.first > 0 ? &high : &low) = beta;
        double next = beta - s.first / s.second;
        if (!(next > low && next < high)) next = (low + high) / 2;
        double step = fabs(next - beta);
        beta = next;
        if (step <= 4 * DBL_EPSILON * beta) break;
    }
    return beta;
}

cz_status fit_temperature(double *temperature, const known_cells *known)
{
    double *p = cz_alloc((size_t)known->classes, sizeof *p, "a row of probabilities");
    if (!p) return CZ_ERR_MEMORY;
    *temperature = known->n ? 1 / least_loss(known, p) : NAN;
    free(p);
    return CZ_OK;
}

typedef struct quality {
    double loss, brier, error;
    cz_bin bin[CZ_BINS];
} quality;

static int bin_of(double confidence)
{
    int b = 0;
    while (b < CZ_BINS - 1 && confidence > (b + 1) / (double)CZ_BINS) b++;
    return b;
}

/* n, confidence and accuracy hold sums; they become means. */
static double close_bins(cz_bin *bin, int n)
{
    double error = 0;
    for (int b = 0; b < CZ_BINS; b++) {
        error += fabs(bin[b].accuracy - bin[b].confidence) / n;
        bin[b].confidence = bin[b].n ? bin[b].confidence / bin[b].n : NAN;
        bin[b].accuracy = bin[b].n ? bin[b].accuracy / bin[b].n : NAN;
    }
    return error;
}

/* At a temperature of 1 / beta. p (classes) is scratch. */
static quality quality_at(const known_cells *known, double beta, double *p)
{
    quality q = {0};
    for (int i = 0; i < known->n; i++) {
        int truth = known->truth[i], best = known->best[i];
        q.loss -= softmax(p, known_row(known, i), known->classes, beta, truth);
        for (int c = 0; c < known->classes; c++)
            q.brier += (p[c] - (c == truth)) * (p[c] - (c == truth));
        cz_bin *bin = &q.bin[bin_of(p[best])];
        bin->n++;
        bin->confidence += p[best];
        bin->accuracy += best == truth;
    }
    q.error = close_bins(q.bin, known->n);
    q.loss /= known->n; /* 0 / 0 where no cell is known */
    q.brier /= known->n;
    return q;
}

cz_status score_probabilities(cz_head_result *r, const known_cells *known,
                              const known_cells *validation)
{
    CZ_TRY(fit_temperature(&r->temperature, validation));
    double *p = cz_alloc((size_t)known->classes, sizeof *p, "a row of probabilities");
    if (!p) return CZ_ERR_MEMORY;
    quality plain = quality_at(known, 1, p), scaled = quality_at(known, 1 / r->temperature, p);
    r->loss = plain.loss;
    r->brier = plain.brier;
    r->calibration_error = plain.error;
    bool fitted = validation->n > 0;
    r->scaled_loss = fitted ? scaled.loss : NAN;
    r->scaled_brier = fitted ? scaled.brier : NAN;
    r->scaled_calibration_error = fitted ? scaled.error : NAN;
    for (int b = 0; b < CZ_BINS; b++) {
        r->bin[b] = plain.bin[b];
        r->scaled_bin[b] = fitted ? scaled.bin[b] : (cz_bin){0, NAN, NAN};
    }
    free(p);
    return CZ_OK;
}
