-- Names as people should not write them.
CREATE SCHEMA "Odd.Schema";
CREATE TYPE "Odd.Schema"."ty'pe" AS ENUM ('a');
CREATE TABLE "Odd.Schema"."t""q; drop table x; --" (
    "id" int, "ID" int, "Ünï ©" text, "a.b" "Odd.Schema"."ty'pe", "$$\n" text,
    "sixty_three_bytes_long_name_0123456789_0123456789_0123456789_01" int, PRIMARY KEY ("ID", "id"));
CREATE PUBLICATION wire FOR TABLE "Odd.Schema"."t""q; drop table x; --";
-- slot
INSERT INTO "Odd.Schema"."t""q; drop table x; --" VALUES (1, 2, 'x', 'a', 'y', 3);
ALTER TYPE "Odd.Schema"."ty'pe" RENAME TO renamed;
UPDATE "Odd.Schema"."t""q; drop table x; --" SET "ID" = 3;
