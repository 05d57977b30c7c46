/*
 * The self-test: proof, in this very run, that the compare can find. Beside each other, in temporary tables
 * of both sessions, stand rows with a column of every class of types, and differences of every kind are
 * planted on the target. The compare reads them as it reads every table, under stamps and past the horizon of
 * the stream; it must find each that was planted, and nothing else. Otherwise its verdict means nothing:
 * SB-SELF-TEST.
 *
 * The tables are gone with the sessions, however they end.
 */
#ifndef SB_RECONCILE_SELF_TEST_H
#define SB_RECONCILE_SELF_TEST_H

#include "reconcile/scene.h"

/* The scene follows the stream. */
int sb_self_test_run(struct sb_scene *scene, struct sb_self_test *ret_test, struct sb_err *err);

#endif
