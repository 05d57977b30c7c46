-- Replica identities: full with duplicates and NULLs, an index, changed in mid-stream.
CREATE TABLE f (a int, b text);
ALTER TABLE f REPLICA IDENTITY FULL;
CREATE TABLE x (id int PRIMARY KEY, code text NOT NULL UNIQUE, v int);
ALTER TABLE x REPLICA IDENTITY USING INDEX x_code_key;
CREATE PUBLICATION wire FOR TABLE f, x;
-- slot
INSERT INTO f VALUES (1, 'x'), (1, 'x'), (NULL, NULL);
UPDATE f SET b = 'y' WHERE ctid = (SELECT min(ctid) FROM f);
DELETE FROM f WHERE a IS NULL;
INSERT INTO x VALUES (1, 'one', 0);
UPDATE x SET v = 1;
UPDATE x SET code = 'uno';
UPDATE x SET id = 2;
ALTER TABLE x REPLICA IDENTITY DEFAULT;
UPDATE x SET id = 3;
DELETE FROM x;
