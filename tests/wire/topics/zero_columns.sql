-- A table without columns, and one whose columns are all generated or dropped.
CREATE TABLE nothing ();
ALTER TABLE nothing REPLICA IDENTITY FULL;
CREATE TABLE dropped (a int, b int);
ALTER TABLE dropped DROP a;
ALTER TABLE dropped REPLICA IDENTITY FULL;
CREATE TABLE made (id int PRIMARY KEY, twice int GENERATED ALWAYS AS (id * 2) STORED, no int GENERATED ALWAYS AS IDENTITY);
CREATE PUBLICATION wire FOR TABLE nothing, dropped, made;
-- slot
INSERT INTO nothing DEFAULT VALUES;
INSERT INTO dropped VALUES (1), (NULL);
ALTER TABLE dropped DROP b;
INSERT INTO dropped DEFAULT VALUES;
INSERT INTO made VALUES (5);
