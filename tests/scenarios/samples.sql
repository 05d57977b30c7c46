-- Sample databases, restated
-- pagila, Chinook, Northwind, pgbench and the like are known to everybody. No package of the registries that this project uses
-- carries them, so these are databases of our own with the same traps, and named restated for that; nothing of theirs is copied.

-- == pagila-restated
-- from: pagila
-- what: films with a tsvector kept by a trigger, an enum, a domain, an array, payments in monthly partitions, stores and staff that refer to one another, views, functions, an aggregate, last_update triggers
-- [both]
CREATE TYPE rating AS ENUM ('G', 'PG', 'PG-13', 'R', 'NC-17');
CREATE DOMAIN year AS int CHECK (VALUE BETWEEN 1901 AND 2155);
CREATE FUNCTION touched() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.last_update := clock_timestamp(); RETURN NEW; END $$;
CREATE FUNCTION concat_two(text, text) RETURNS text IMMUTABLE LANGUAGE sql AS $$ SELECT coalesce($1 || ', ', '') || $2 $$;
CREATE AGGREGATE group_concat (text) (SFUNC = concat_two, STYPE = text);
CREATE SEQUENCE actor_id_seq;
CREATE TABLE actor (id int DEFAULT nextval('actor_id_seq') PRIMARY KEY, first_name text NOT NULL, last_name text NOT NULL, last_update timestamptz DEFAULT now() NOT NULL);
CREATE TABLE language (id serial PRIMARY KEY, name character(20) NOT NULL, last_update timestamptz DEFAULT now() NOT NULL);
CREATE TABLE film (id serial PRIMARY KEY, title text NOT NULL, description text, release_year year, language int NOT NULL REFERENCES language ON UPDATE CASCADE, original_language int REFERENCES language, duration smallint DEFAULT 3 NOT NULL, rate numeric(4, 2) DEFAULT 4.99 NOT NULL, length smallint, rating rating DEFAULT 'G', features text[], fulltext tsvector NOT NULL, last_update timestamptz DEFAULT now() NOT NULL);
CREATE TABLE film_actor (actor int REFERENCES actor ON UPDATE CASCADE, film int REFERENCES film ON DELETE CASCADE, last_update timestamptz DEFAULT now() NOT NULL, PRIMARY KEY (actor, film));
CREATE TABLE store (id serial PRIMARY KEY, manager int NOT NULL);
CREATE TABLE staff (id serial PRIMARY KEY, name text NOT NULL, store int NOT NULL REFERENCES store, password text, picture bytea);
ALTER TABLE store ADD FOREIGN KEY (manager) REFERENCES staff DEFERRABLE INITIALLY DEFERRED;
CREATE UNIQUE INDEX ON store (manager);
CREATE TABLE customer (id serial PRIMARY KEY, store int NOT NULL REFERENCES store, name text NOT NULL, email text, active boolean DEFAULT true NOT NULL, created date DEFAULT '2026-01-01' NOT NULL, last_update timestamptz DEFAULT now());
CREATE TABLE inventory (id serial PRIMARY KEY, film int NOT NULL REFERENCES film ON DELETE CASCADE, store int NOT NULL REFERENCES store);
CREATE TABLE rental (id serial PRIMARY KEY, at timestamptz NOT NULL, inventory int NOT NULL, customer int NOT NULL REFERENCES customer, back timestamptz, staff int NOT NULL REFERENCES staff);
CREATE UNIQUE INDEX ON rental (at, inventory, customer);
CREATE TABLE payment (id serial, customer int NOT NULL, staff int NOT NULL, rental int NOT NULL, amount numeric(5, 2) NOT NULL, at timestamptz NOT NULL, PRIMARY KEY (at, id)) PARTITION BY RANGE (at);
CREATE TABLE payment_2026_01 PARTITION OF payment FOR VALUES FROM ('2026-01-01 00:00+00') TO ('2026-02-01 00:00+00');
CREATE TABLE payment_2026_02 PARTITION OF payment FOR VALUES FROM ('2026-02-01 00:00+00') TO ('2026-03-01 00:00+00');
CREATE TABLE payment_2026_03 (at timestamptz NOT NULL, id int DEFAULT nextval('payment_id_seq') NOT NULL, amount numeric(5, 2) NOT NULL, rental int NOT NULL, staff int NOT NULL, customer int NOT NULL);
ALTER TABLE payment ATTACH PARTITION payment_2026_03 FOR VALUES FROM ('2026-03-01 00:00+00') TO ('2026-04-01 00:00+00');
ALTER TABLE payment_2026_01 ADD FOREIGN KEY (rental) REFERENCES rental;
CREATE INDEX ON film USING gist (fulltext);
CREATE INDEX ON payment (customer);
CREATE TRIGGER fulltext BEFORE INSERT OR UPDATE ON film FOR EACH ROW EXECUTE FUNCTION tsvector_update_trigger('fulltext', 'pg_catalog.english', 'title', 'description');
CREATE TRIGGER touched BEFORE UPDATE ON film FOR EACH ROW EXECUTE FUNCTION touched();
CREATE TRIGGER touched BEFORE UPDATE ON actor FOR EACH ROW EXECUTE FUNCTION touched();
CREATE TRIGGER touched BEFORE UPDATE ON customer FOR EACH ROW EXECUTE FUNCTION touched();
CREATE VIEW film_list AS SELECT f.id, f.title, group_concat(a.last_name ORDER BY a.id) AS actors FROM film f JOIN film_actor fa ON fa.film = f.id JOIN actor a ON a.id = fa.actor GROUP BY f.id;
CREATE MATERIALIZED VIEW rental_by_film AS SELECT i.film, count(*) AS rentals FROM rental r JOIN inventory i ON i.id = r.inventory GROUP BY 1;
CREATE FUNCTION in_stock(of_film int) RETURNS bigint STABLE LANGUAGE sql AS $$ SELECT count(*) FROM pg_class WHERE oid = 0 $$;
-- [rows]
INSERT INTO language (name) VALUES ('English'), ('Italian'), ('Japanese'), ('Mandarin');
INSERT INTO actor (first_name, last_name) SELECT 'FIRST' || g % 20, 'LAST' || g FROM generate_series(1, 100) g;
INSERT INTO film (title, description, release_year, language, rating, length, features) SELECT 'Film number ' || g, 'A tale of ' || g || ' dogs who must ' || repeat('run and ', g % 9) || 'hide', 1950 + g % 70, g % 4 + 1, (enum_range(NULL::rating))[g % 5 + 1], 60 + g % 90, CASE WHEN g % 3 = 0 THEN '{Trailers,"Deleted Scenes"}'::text[] WHEN g % 3 = 1 THEN '{}' END FROM generate_series(1, 200) g;
INSERT INTO film_actor (actor, film) SELECT g % 100 + 1, g % 200 + 1 FROM generate_series(1, 200) g;
BEGIN;
INSERT INTO store (manager) VALUES (1), (2);
INSERT INTO staff (name, store, password, picture) VALUES ('Mike', 1, '8cb2237d', decode(repeat('89504e470d0a', 3000), 'hex')), ('Jon', 2, NULL, NULL);
COMMIT;
INSERT INTO customer (store, name, email) SELECT g % 2 + 1, 'Customer ' || g, 'c' || g || '@sakila.invalid' FROM generate_series(1, 100) g;
INSERT INTO inventory (film, store) SELECT g % 200 + 1, g % 2 + 1 FROM generate_series(1, 400) g;
INSERT INTO rental (at, inventory, customer, back, staff) SELECT timestamptz '2026-01-01 00:00+00' + g * interval '3 hours', g % 400 + 1, g % 100 + 1, CASE WHEN g % 7 > 0 THEN timestamptz '2026-01-03 00:00+00' + g * interval '3 hours' END, g % 2 + 1 FROM generate_series(1, 600) g;
INSERT INTO payment (customer, staff, rental, amount, at) SELECT customer, staff, id, 0.99 + id % 9, at + interval '1 minute' FROM rental;
REFRESH MATERIALIZED VIEW rental_by_film;
-- [then]
UPDATE rental SET back = '2026-04-01' WHERE back IS NULL AND id < 100;
UPDATE film SET description = 'Rewritten: ' || description, rating = 'R' WHERE id % 20 = 0;
UPDATE film SET features = features || '{Commentaries}' WHERE id % 10 = 0;
DELETE FROM film WHERE id IN (7, 8) AND NOT EXISTS (SELECT FROM rental r JOIN inventory i ON i.id = r.inventory WHERE i.film = film.id AND r.back IS NULL);
UPDATE language SET id = 40 WHERE id = 4;
UPDATE payment SET at = at + interval '31 days' WHERE at < '2026-01-05 00:00+00' AND rental > 5;
UPDATE payment SET amount = 11.99 WHERE amount = 8.99;
BEGIN;
INSERT INTO store (manager) VALUES (3);
INSERT INTO staff (name, store) VALUES ('Ann', 3);
UPDATE store SET manager = 4 WHERE id = 1;
INSERT INTO staff (name, store) VALUES ('Bea', 1);
UPDATE customer SET store = 3 WHERE id % 10 = 0;
COMMIT;
UPDATE staff SET picture = picture || '\x00', password = 'new' WHERE id = 1;
UPDATE actor SET id = id + 1000 WHERE id > 95;
INSERT INTO rental (at, inventory, customer, staff) SELECT '2026-03-20 00:00+00', g, g, 1 FROM generate_series(1, 20) g;
INSERT INTO payment (customer, staff, rental, amount, at) SELECT customer, staff, id, 2.99, at FROM rental WHERE at = '2026-03-20 00:00+00';
DELETE FROM payment WHERE customer = 13;
REFRESH MATERIALIZED VIEW rental_by_film;
-- [holds]
SELECT count(*) > 100 FROM film_list WHERE actors LIKE 'LAST%';
SELECT count(*) = 10 FROM film WHERE fulltext @@ to_tsquery('english', 'tales & rewritten');

-- == chinook-restated
-- from: Chinook
-- what: a music shop: names of mixed case, a hierarchy of employees, a link table of nothing but keys, invoices with lines, many foreign keys
-- [both]
CREATE TABLE "Artist" ("ArtistId" int PRIMARY KEY, "Name" varchar(120));
CREATE TABLE "Album" ("AlbumId" int PRIMARY KEY, "Title" varchar(160) NOT NULL, "ArtistId" int NOT NULL REFERENCES "Artist");
CREATE TABLE "MediaType" ("MediaTypeId" int PRIMARY KEY, "Name" varchar(120));
CREATE TABLE "Track" ("TrackId" int PRIMARY KEY, "Name" varchar(200) NOT NULL, "AlbumId" int REFERENCES "Album", "MediaTypeId" int NOT NULL REFERENCES "MediaType", "Composer" varchar(220), "Milliseconds" int NOT NULL, "Bytes" int, "UnitPrice" numeric(10, 2) NOT NULL);
CREATE TABLE "Employee" ("EmployeeId" int PRIMARY KEY, "LastName" varchar(20) NOT NULL, "ReportsTo" int REFERENCES "Employee", "BirthDate" timestamp, "Fax" varchar(24));
CREATE TABLE "Customer" ("CustomerId" int PRIMARY KEY, "FirstName" varchar(40) NOT NULL, "Country" varchar(40), "SupportRepId" int REFERENCES "Employee");
CREATE TABLE "Invoice" ("InvoiceId" int PRIMARY KEY, "CustomerId" int NOT NULL REFERENCES "Customer", "InvoiceDate" timestamp NOT NULL, "Total" numeric(10, 2) NOT NULL);
CREATE TABLE "InvoiceLine" ("InvoiceLineId" int PRIMARY KEY, "InvoiceId" int NOT NULL REFERENCES "Invoice", "TrackId" int NOT NULL REFERENCES "Track", "Quantity" int NOT NULL);
CREATE TABLE "Playlist" ("PlaylistId" int PRIMARY KEY, "Name" varchar(120));
CREATE TABLE "PlaylistTrack" ("PlaylistId" int REFERENCES "Playlist", "TrackId" int REFERENCES "Track", PRIMARY KEY ("PlaylistId", "TrackId"));
CREATE INDEX "IFK_TrackAlbumId" ON "Track" ("AlbumId");
-- [rows]
INSERT INTO "Artist" SELECT g, 'Artist ''' || g || ''' & ünïcode' FROM generate_series(1, 40) g;
INSERT INTO "Album" SELECT g, 'Album (' || g || ')', g % 40 + 1 FROM generate_series(1, 80) g;
INSERT INTO "MediaType" VALUES (1, 'MPEG audio file'), (2, 'AAC audio file');
INSERT INTO "Track" SELECT g, 'Track ' || g, g % 80 + 1, g % 2 + 1, CASE WHEN g % 3 = 0 THEN 'Composer, ' || g END, g * 1000, g * 12345, 0.99 + g % 2 FROM generate_series(1, 700) g;
INSERT INTO "Employee" SELECT g, 'Employee ' || g, nullif(g / 2, 0), '1970-01-01' FROM generate_series(1, 8) g;
INSERT INTO "Customer" SELECT g, 'Customer ' || g, 'Country ' || g % 20, g % 8 + 1 FROM generate_series(1, 59) g;
INSERT INTO "Invoice" SELECT g, g % 59 + 1, timestamp '2026-01-01' + g * interval '1 day', 0.99 FROM generate_series(1, 200) g;
INSERT INTO "InvoiceLine" SELECT g, g % 200 + 1, g % 700 + 1, 1 FROM generate_series(1, 900) g;
INSERT INTO "Playlist" SELECT g, 'Playlist ' || g FROM generate_series(1, 18) g;
INSERT INTO "PlaylistTrack" SELECT g % 18 + 1, g FROM generate_series(1, 700) g;
-- [then]
UPDATE "Invoice" SET "Total" = (SELECT sum("Quantity" * "UnitPrice") FROM "InvoiceLine" l JOIN "Track" t USING ("TrackId") WHERE l."InvoiceId" = "Invoice"."InvoiceId");
UPDATE "PlaylistTrack" SET "PlaylistId" = 1 WHERE "PlaylistId" = 2 AND "TrackId" % 4 = 0;
DELETE FROM "PlaylistTrack" WHERE "PlaylistId" = 3;
BEGIN;
DELETE FROM "InvoiceLine" WHERE "InvoiceId" = 5;
DELETE FROM "Invoice" WHERE "InvoiceId" = 5;
INSERT INTO "Invoice" VALUES (1000, 3, '2026-11-25', 1.98);
INSERT INTO "InvoiceLine" VALUES (1000, 1000, 1, 2);
COMMIT;
UPDATE "Employee" SET "ReportsTo" = NULL WHERE "EmployeeId" = 2;
UPDATE "Employee" SET "ReportsTo" = 2 WHERE "EmployeeId" = 1;
UPDATE "Track" SET "Composer" = NULL WHERE "Composer" LIKE '%9';

-- == northwind-restated
-- from: Northwind
-- what: orders with composite keys, bpchar codes as keys, real numbers, pictures, territories without numbers
-- [both]
CREATE TABLE customers (customer_id bpchar(5) PRIMARY KEY, company varchar(40) NOT NULL, region varchar(15));
CREATE TABLE employees (employee_id smallint PRIMARY KEY, photo bytea, notes text, reports_to smallint REFERENCES employees);
CREATE TABLE territories (territory_id varchar(20) PRIMARY KEY, description char(60) NOT NULL);
CREATE TABLE employee_territories (employee_id smallint REFERENCES employees, territory_id varchar(20) REFERENCES territories, PRIMARY KEY (employee_id, territory_id));
CREATE TABLE products (product_id smallint PRIMARY KEY, name varchar(40) NOT NULL, unit_price real, in_stock smallint, discontinued int NOT NULL);
CREATE TABLE orders (order_id smallint PRIMARY KEY, customer_id bpchar REFERENCES customers, order_date date, freight real);
CREATE TABLE order_details (order_id smallint REFERENCES orders, product_id smallint REFERENCES products, unit_price real NOT NULL, quantity smallint NOT NULL, discount real NOT NULL, PRIMARY KEY (order_id, product_id));
CREATE TABLE demographics (customer_type_id bpchar NOT NULL, about text, PRIMARY KEY (customer_type_id));
-- [rows]
INSERT INTO customers SELECT chr(65 + g % 26) || lpad(g::text, 3, '0'), 'Company ' || g, CASE WHEN g % 4 = 0 THEN 'WA' END FROM generate_series(1, 90) g;
INSERT INTO employees SELECT g, decode(repeat('151c2f', g * 1000), 'hex'), repeat('Notes ', g * 50), CASE WHEN g > 1 THEN 1 END FROM generate_series(1, 9) g;
INSERT INTO territories SELECT lpad((1581 + g)::text, 5, '0'), 'Territory ' || g FROM generate_series(1, 50) g;
INSERT INTO employee_territories SELECT g % 9 + 1, lpad((1581 + g)::text, 5, '0') FROM generate_series(1, 49) g;
INSERT INTO products SELECT g, 'Product ' || g, g / 3.0, g, g % 2 FROM generate_series(1, 77) g;
INSERT INTO orders SELECT g, (SELECT customer_id FROM customers ORDER BY 1 OFFSET g % 90 LIMIT 1), date '2026-01-01' + g % 300, g / 7.0 FROM generate_series(1, 400) g;
INSERT INTO order_details SELECT g % 400 + 1, g % 77 + 1, g / 3.0, g % 50, 0.05 FROM generate_series(1, 1000) g;
INSERT INTO demographics VALUES ('a', 'x'), ('b  ', NULL);
-- [then]
UPDATE order_details SET discount = 0.15000000596046448 WHERE quantity > 40;
UPDATE products SET unit_price = unit_price * 1.1 WHERE discontinued = 0;
UPDATE customers SET region = 'somewhere' WHERE customer_id LIKE 'A%';
INSERT INTO customers VALUES ('ZZ', 'two letters', NULL);
UPDATE customers SET customer_id = 'ZZZ' WHERE customer_id = 'ZZ   ';
DELETE FROM order_details WHERE order_id < 10;
DELETE FROM orders WHERE order_id < 10;
UPDATE employees SET notes = notes || '.', photo = NULL WHERE employee_id = 9;
UPDATE employee_territories SET employee_id = 1 WHERE employee_id = 2;
UPDATE demographics SET about = 'y' WHERE customer_type_id = 'b';

-- == pgbench-restated
-- from: pgbench
-- what: the TPC-B-like mix: three updates of rows that many touch and one insert of a table without a key, in one transaction
-- [both]
CREATE TABLE branches (bid int PRIMARY KEY, balance int, filler char(88));
CREATE TABLE tellers (tid int PRIMARY KEY, bid int, balance int, filler char(84)) WITH (fillfactor = 50);
CREATE TABLE accounts (aid int, bid int, balance int, filler char(84), PRIMARY KEY (aid)) PARTITION BY HASH (aid);
CREATE TABLE accounts_0 PARTITION OF accounts FOR VALUES WITH (MODULUS 2, REMAINDER 0);
CREATE TABLE accounts_1 PARTITION OF accounts FOR VALUES WITH (MODULUS 2, REMAINDER 1);
CREATE TABLE history (tid int, bid int, aid int, delta int, at timestamp, filler char(22));
-- [rows]
INSERT INTO branches SELECT g, 0 FROM generate_series(1, 2) g;
INSERT INTO tellers SELECT g, g % 2 + 1, 0 FROM generate_series(1, 20) g;
INSERT INTO accounts SELECT g, g % 2 + 1, 0, '' FROM generate_series(1, 2000) g;
-- [then]
DO $$ BEGIN FOR n IN 1..300 LOOP
    UPDATE accounts SET balance = balance + n WHERE aid = n * 37 % 2000 + 1;
    UPDATE tellers SET balance = balance + n WHERE tid = n % 20 + 1;
    UPDATE branches SET balance = balance + n WHERE bid = n % 2 + 1;
    INSERT INTO history (tid, bid, aid, delta, at) VALUES (n % 20 + 1, n % 2 + 1, n * 37 % 2000 + 1, n, now());
    COMMIT;
END LOOP; END $$;
VACUUM branches;
-- [holds]
SELECT (SELECT sum(balance) FROM accounts) = 45150 AND (SELECT sum(balance) FROM branches) = 45150 AND (SELECT sum(delta) FROM history) = 45150;

-- == a-forum
-- from: stackexchange, hasura-ecommerce
-- what: posts that refer to posts, votes without a name for their key, uuids and jsonb, soft deletes, counters kept by triggers
-- [both]
CREATE TABLE users (id uuid PRIMARY KEY DEFAULT gen_random_uuid(), name text UNIQUE, settings jsonb NOT NULL DEFAULT '{}');
CREATE TABLE posts (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, parent bigint REFERENCES posts ON DELETE CASCADE, author uuid REFERENCES users ON DELETE SET NULL, body text, score int NOT NULL DEFAULT 0, deleted_at timestamptz, tags text[] NOT NULL DEFAULT '{}', search tsvector GENERATED ALWAYS AS (to_tsvector('simple', coalesce(body, ''))) STORED);
CREATE TABLE votes (post bigint REFERENCES posts ON DELETE CASCADE, voter uuid REFERENCES users ON DELETE CASCADE, way smallint CHECK (way IN (-1, 1)), UNIQUE (post, voter));
ALTER TABLE votes REPLICA IDENTITY FULL;
CREATE INDEX ON posts USING gin (tags);
CREATE INDEX ON users USING gin (settings jsonb_path_ops);
CREATE FUNCTION counted() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN EXECUTE format('UPDATE %I.posts SET score = score + %s WHERE id = %s', tg_table_schema, CASE WHEN tg_op = 'DELETE' THEN -OLD.way ELSE NEW.way END, CASE WHEN tg_op = 'DELETE' THEN OLD.post ELSE NEW.post END); RETURN NULL; END $$;
CREATE TRIGGER counted AFTER INSERT OR DELETE ON votes FOR EACH ROW EXECUTE FUNCTION counted();
-- [rows]
INSERT INTO users (id, name, settings) SELECT md5(g::text)::uuid, 'user' || g, jsonb_build_object('n', g, 'deep', jsonb_build_array(g, NULL)) FROM generate_series(1, 40) g;
INSERT INTO posts (parent, author, body, tags) SELECT CASE WHEN g > 20 THEN g % 20 + 1 END, md5((g % 40 + 1)::text)::uuid, repeat('word' || g || ' ', g), ARRAY['t' || g % 5, 't' || g % 3] FROM generate_series(1, 150) g;
INSERT INTO votes SELECT g % 150 + 1, md5((g % 40 + 1)::text)::uuid, CASE WHEN g % 3 = 0 THEN -1 ELSE 1 END FROM generate_series(1, 300) g ON CONFLICT DO NOTHING;
-- [then]
DELETE FROM users WHERE name = 'user7';
DELETE FROM posts WHERE id = 3;
UPDATE posts SET deleted_at = '2026-11-25', body = NULL WHERE id % 17 = 0;
INSERT INTO votes SELECT id, md5('1')::uuid, 1 FROM posts WHERE id > 100 ON CONFLICT (post, voter) DO UPDATE SET way = 1;
DELETE FROM votes WHERE way = -1 AND post % 2 = 0;
BEGIN;
UPDATE users SET name = 'swap' WHERE name = 'user1';
UPDATE users SET name = 'user1' WHERE name = 'user2';
UPDATE users SET name = 'user2', settings = settings || '{"new": true}' WHERE name = 'swap';
COMMIT;
UPDATE posts SET tags = array_remove(tags, 't1') WHERE tags @> '{t1}';
