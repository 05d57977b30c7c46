-- A key that changes, is respelled, is swapped, moves in a chain.
CREATE TABLE item (id int PRIMARY KEY, v text);
CREATE TABLE price (amount numeric PRIMARY KEY, v text);
CREATE TABLE pair (a int, b text, v int, PRIMARY KEY (b, a));
CREATE PUBLICATION wire FOR TABLE item, price, pair;
-- slot
INSERT INTO item VALUES (1, 'a'), (2, 'b');
UPDATE item SET id = 10 WHERE id = 1;
UPDATE item SET id = CASE id WHEN 2 THEN 3 ELSE id END;
BEGIN;
UPDATE item SET id = -1 WHERE id = 3;
UPDATE item SET id = 3 WHERE id = 10;
UPDATE item SET id = 10 WHERE id = -1;
COMMIT;
INSERT INTO price VALUES (1.0, 'one');
UPDATE price SET amount = 1.00;
INSERT INTO pair VALUES (1, 'x', 0);
UPDATE pair SET a = 2;
UPDATE pair SET v = 7;
