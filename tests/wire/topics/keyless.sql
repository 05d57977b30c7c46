-- A table without identity, published for inserts only, beside a keyed one.
CREATE TABLE log (at int, what text);
CREATE TABLE none_id (id int PRIMARY KEY);
ALTER TABLE none_id REPLICA IDENTITY NOTHING;
CREATE TABLE keyed (id int PRIMARY KEY);
CREATE PUBLICATION wire FOR TABLE keyed;
CREATE PUBLICATION wire_keyless FOR TABLE log, none_id WITH (publish = 'insert');
-- slot
INSERT INTO log VALUES (1, 'a'), (1, 'a');
UPDATE log SET what = 'b';
DELETE FROM log;
TRUNCATE log;
INSERT INTO none_id VALUES (1);
DELETE FROM none_id;
INSERT INTO keyed VALUES (1);
DELETE FROM keyed;
