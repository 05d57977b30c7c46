-- Insert, update, delete; one row a statement and many; two tables in one transaction; interleaved commits.
CREATE TABLE account (id int PRIMARY KEY, owner text NOT NULL, balance numeric(12,2) NOT NULL DEFAULT 0);
CREATE TABLE entry (account int NOT NULL, no bigint NOT NULL, amount numeric, PRIMARY KEY (account, no));
CREATE PUBLICATION wire FOR TABLE account, entry;
-- slot
INSERT INTO account VALUES (1, 'Ada', 10), (2, 'Böle', 20.5), (3, '', 0);
UPDATE account SET balance = balance + 1 WHERE id = 1;
UPDATE account SET balance = balance WHERE id = 2;
DELETE FROM account WHERE id = 3;
BEGIN;
INSERT INTO entry SELECT 1, i, i * 1.5 FROM generate_series(1, 3) i;
UPDATE account SET balance = 99.99 WHERE id = 1;
INSERT INTO entry VALUES (2, 1, NULL);
COMMIT;
BEGIN;
INSERT INTO account VALUES (4, 'never seen', 1);
ROLLBACK;
