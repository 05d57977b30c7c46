-- Partitions by their leaves; rows that move between them; attach and detach; truncate.
CREATE TABLE p (id int, region text, v int, PRIMARY KEY (id, region)) PARTITION BY LIST (region);
CREATE TABLE p_eu PARTITION OF p FOR VALUES IN ('eu');
CREATE TABLE p_us PARTITION OF p FOR VALUES IN ('us');
CREATE PUBLICATION wire FOR TABLE p;
-- slot
INSERT INTO p VALUES (1, 'eu', 0), (2, 'us', 0);
UPDATE p SET v = 1;
UPDATE p SET region = 'us' WHERE id = 1;
TRUNCATE p_eu;
TRUNCATE p;
ALTER TABLE p DETACH PARTITION p_eu;
INSERT INTO p_eu VALUES (9, 'eu', 9);
