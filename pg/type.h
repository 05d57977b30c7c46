/* Does a column hold what another one shows? Pure. */
#ifndef SB_PG_TYPE_H
#define SB_PG_TYPE_H

#include "pg/catalog.h"

/* Does every value of from fit into to unchanged? type_oid, typmod, for types that are not built in
 * type_name, and for domains what they are made of count. */
bool sb_type_fits(const struct sb_cat_column *from, const struct sb_cat_column *to);
/* Would the server take a value of from into to and change it without a word: round it, drop its time zone,
 * pad it, spell it anew? What only fails to fit (sb_type_holds) is not meant, nor what is not built in. */
bool sb_type_alters(const struct sb_cat_column *from, const struct sb_cat_column *to);
/* Of a column into which not everything fits, but which alters nothing: does it hold this text? It is asked
 * before the server is, because a server cuts blanks off the end of a text that is too long, and because it
 * does not name the column. */
bool sb_type_holds(const struct sb_cat_column *to, struct sb_view text);

#endif
