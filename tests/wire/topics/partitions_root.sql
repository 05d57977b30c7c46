-- Partitions via their root.
CREATE TABLE p (id int, region text, v int, PRIMARY KEY (id, region)) PARTITION BY LIST (region);
CREATE TABLE p_eu PARTITION OF p FOR VALUES IN ('eu');
CREATE TABLE p_us (v int, id int NOT NULL, region text NOT NULL, extra int);
ALTER TABLE p_us DROP extra;
ALTER TABLE p ATTACH PARTITION p_us FOR VALUES IN ('us');
CREATE PUBLICATION wire FOR TABLE p WITH (publish_via_partition_root = true);
-- slot
INSERT INTO p VALUES (1, 'eu', 0), (2, 'us', 0);
UPDATE p SET v = 1;
UPDATE p SET region = 'us' WHERE id = 1;
DELETE FROM p WHERE id = 2;
TRUNCATE p_eu;
TRUNCATE p;
