/* A record of the stream as JSON, for `switchback stream show`. Row values are in it: it was asked for. */
#ifndef SB_CLI_RECORD_JSON_H
#define SB_CLI_RECORD_JSON_H

#include "stream/walk.h"

#include <jansson.h>

/* A new object; NULL without memory. Text is a string; bytes that are not UTF-8 are {"hex": "..."}; NULL is
 * null; an unchanged TOAST value is {"unchanged": true}; what did not travel is not there. */
json_t *sb_record_json(const struct sb_walk_record *record);

#endif
