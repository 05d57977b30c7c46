/*
 * A form of JSON in which neither the order of an object's members nor the blanks between tokens count. Pure.
 *
 * A JSON library would not do: it reads 1.0 and 1.00 as one number, and loses digits of long ones.
 *
 * Numbers and strings stay as they are written: 1.0 and 1.00 are different, and so are "é" and "\u00e9".
 * Members of the same name stay in their order.
 */
#ifndef SB_SCHEMAS_JSONFORM_H
#define SB_SCHEMAS_JSONFORM_H

#include "core/bytes.h"

/* False if text is no JSON, or nested deeper than 512: out has rubbish then. */
bool sb_jsonform_put(struct sb_view text, struct sb_buf *out);

#endif
