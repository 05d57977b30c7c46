-- TRUNCATE of one, of several, with cascade, with restart identity, together with rows.
CREATE TABLE parent (id int PRIMARY KEY);
CREATE TABLE child (id serial PRIMARY KEY, parent int REFERENCES parent);
CREATE TABLE alone (id int PRIMARY KEY);
CREATE PUBLICATION wire FOR TABLE parent, child, alone;
-- slot
INSERT INTO parent VALUES (1);
INSERT INTO child (parent) VALUES (1);
TRUNCATE alone;
TRUNCATE parent, child, alone;
INSERT INTO parent VALUES (2);
TRUNCATE parent CASCADE;
TRUNCATE alone RESTART IDENTITY;
BEGIN;
INSERT INTO alone VALUES (1);
TRUNCATE alone;
INSERT INTO alone VALUES (1);
COMMIT;
