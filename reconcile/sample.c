#include "reconcile/sample.h"

#include <math.h>

int64_t sb_sample_size(int64_t population, double percent)
{
    double size = ceil((double)population * percent / 100);
    if (population == 0)
        return 0;
    return size < 1 ? 1 : size > (double)population ? population : (int64_t)size;
}

/* -- drawing --------------------------------------------------------------------------------------------- */

struct sb_sample_draw sb_sample_begin(uint64_t seed)
{
    return (struct sb_sample_draw){.state = seed};
}

/* SplitMix64 (Steele, Lea, Flood 2014). */
static uint64_t next(struct sb_sample_draw *draw)
{
    uint64_t z = draw->state += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

bool sb_sample_next(struct sb_sample_draw *draw, int64_t left, int64_t wanted)
{
    uint64_t below = (uint64_t)left, limit = UINT64_MAX - UINT64_MAX % below, number;
    do /* without the numbers that would prefer small remainders */
        number = next(draw);
    while (number >= limit);
    return number % below < (uint64_t)wanted;
}

/* -- the bound ------------------------------------------------------------------------------------------- */

static double log_choose(int64_t n, int64_t k)
{
    return lgamma((double)n + 1) - lgamma((double)k + 1) - lgamma((double)(n - k) + 1);
}

/* Of drawing at most bad bad ones, if there are so many in all. */
static double probability(int64_t population, int64_t drawn, int64_t bad, int64_t in_all)
{
    double sum = 0, whole = log_choose(population, drawn);
    for (int64_t k = 0; k <= bad; k++)
        if (k <= in_all && drawn - k <= population - in_all)
            sum += exp(log_choose(in_all, k) + log_choose(population - in_all, drawn - k) - whole);
    return sum;
}

int64_t sb_sample_bound(int64_t population, int64_t drawn, int64_t bad, double confidence)
{
    /* What was not drawn may all be bad at the most; the probability falls as there are more of them. */
    int64_t least = bad, most = population - (drawn - bad);
    const double slack = 1e-9; /* of lgamma: rather one too many than one too few */
    while (least < most) {
        int64_t middle = least + (most - least + 1) / 2;
        if (probability(population, drawn, bad, middle) >= 1 - confidence - slack)
            least = middle;
        else
            most = middle - 1;
    }
    return least;
}
