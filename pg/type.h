/* Does a column hold what another one shows? Pure. */
#ifndef SB_PG_TYPE_H
#define SB_PG_TYPE_H

#include "pg/catalog.h"

/* Does every value of from fit into to unchanged? type_oid, typmod, for types that are not built in
 * type_name, and for domains what they are made of count. */
bool sb_type_fits(const struct sb_cat_column *from, const struct sb_cat_column *to);
/* Would the server take a value of from into to and change it without a word: round it, drop its time zone,
 * spell it anew? What it refuses instead (a text that is too long) is not meant, nor what is not built in. */
bool sb_type_alters(const struct sb_cat_column *from, const struct sb_cat_column *to);

#endif
