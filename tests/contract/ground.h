/*
 * What the contract suite stands on: one store, and what can be done to it from outside. Given on the command
 * line:
 *
 *     contract embedded DIRECTORY
 *     contract kafka BOOTSTRAP PID      PID: of the only broker, which is stopped and continued
 */
#ifndef SB_TESTS_CONTRACT_GROUND_H
#define SB_TESTS_CONTRACT_GROUND_H

#include "stream/stream.h"

/* False with a usage message if the words name no store. */
bool ground_init(int argc, char **argv);
bool ground_is_kafka(void);
/* Options of a store of its own for each name. The strings live until the next call. */
struct sb_stream_options ground_options(const char *name, const char *direction);
/* Take away everything below offset, as retention would. writer: an open one. */
void ground_trim(const struct sb_stream_options *options, struct sb_stream *writer, int64_t below);
/* Kafka only: the store is there but answers nobody, until it is woken. */
void ground_silence(void);
void ground_wake(void);

#endif
