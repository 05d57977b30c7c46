-- Unchanged TOAST: state u in the new row, for every replica identity, and with a changed key.
CREATE TABLE wide (id int PRIMARY KEY, n int, doc text);
ALTER TABLE wide ALTER doc SET STORAGE EXTERNAL;
CREATE TABLE wide_full (id int PRIMARY KEY, n int, doc text);
ALTER TABLE wide_full ALTER doc SET STORAGE EXTERNAL;
ALTER TABLE wide_full REPLICA IDENTITY FULL;
CREATE PUBLICATION wire FOR TABLE wide, wide_full;
-- slot
INSERT INTO wide VALUES (1, 0, repeat('0123456789', 300));
UPDATE wide SET n = 1 WHERE id = 1;
UPDATE wide SET id = 2 WHERE id = 1;
UPDATE wide SET doc = doc || '!' WHERE id = 2;
UPDATE wide SET doc = NULL WHERE id = 2;
INSERT INTO wide_full VALUES (1, 0, repeat('9876543210', 300));
UPDATE wide_full SET n = 1 WHERE id = 1;
DELETE FROM wide_full WHERE id = 1;
