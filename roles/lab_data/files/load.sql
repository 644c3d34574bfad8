-- What an upgrade must carry over, beside the tables of pgbench: one of each kind that has been
-- forgotten by an upgrade somewhere. psql variables: mb, tablespace, app.
SET synchronous_commit = off;

CREATE EXTENSION pgcrypto;
CREATE EXTENSION pg_stat_statements;

-- The tablespace is of the cluster, so an earlier load may have left it.
SELECT NOT EXISTS (SELECT FROM pg_tablespace WHERE spcname = 'ts1') AS is_new \gset
\if :is_new
CREATE TABLESPACE ts1 OWNER :app LOCATION :'tablespace';
\endif

-- About 0.4 of the data: 700 bytes a row, its index on text sorted by the locale.
CREATE TABLE documents (
    id bigint GENERATED ALWAYS AS IDENTITY,
    title text NOT NULL,
    body text NOT NULL,
    checksum bytea GENERATED ALWAYS AS (sha256(body::bytea)) STORED
) TABLESPACE ts1;
INSERT INTO documents (title, body)
SELECT 'Título ' || md5(i::text) || ' № ' || i, repeat(md5((i + 1)::text), 16)
FROM generate_series(1, (:mb * 400000) / 850) AS i;
ALTER TABLE documents ADD PRIMARY KEY (id) USING INDEX TABLESPACE ts1;
CREATE INDEX documents_title ON documents (title);
CREATE INDEX documents_lower ON documents (lower(title)) TABLESPACE ts1;

-- What the application writes: ids ascend, each one that was acknowledged must be there.
CREATE TABLE lab_writer (
    id bigint PRIMARY KEY,
    written_at timestamptz NOT NULL DEFAULT clock_timestamp()
);

CREATE SEQUENCE invoice_number START 1000 INCREMENT 5 CACHE 10;
SELECT count(nextval('invoice_number')) FROM generate_series(1, 500) \g /dev/null
CREATE TABLE customers (id serial PRIMARY KEY, name text UNIQUE, password text);
INSERT INTO customers (name, password)
SELECT 'customer ' || i, crypt('password ' || i, gen_salt('md5')) FROM generate_series(1, 1000) AS i;
DELETE FROM customers WHERE id % 10 = 0;

CREATE UNLOGGED TABLE sessions (id uuid PRIMARY KEY DEFAULT gen_random_uuid(), seen timestamptz DEFAULT now());
INSERT INTO sessions SELECT FROM generate_series(1, 10000);

CREATE TABLE events (at timestamptz NOT NULL, kind text, payload jsonb) PARTITION BY RANGE (at);
CREATE TABLE events_2024 PARTITION OF events FOR VALUES FROM ('2024-01-01') TO ('2025-01-01');
CREATE TABLE events_2025 PARTITION OF events FOR VALUES FROM ('2025-01-01') TO ('2026-01-01') TABLESPACE ts1;
CREATE INDEX events_payload ON events USING gin (payload);
INSERT INTO events
SELECT timestamptz '2024-01-01' + i * interval '30 minutes', 'kind ' || i % 7, jsonb_build_object('n', i, 'tag', md5(i::text))
FROM generate_series(1, 20000) AS i;

CREATE MATERIALIZED VIEW event_counts AS SELECT kind, count(*) FROM events GROUP BY kind;
CREATE FUNCTION document_count() RETURNS bigint LANGUAGE sql STABLE AS 'SELECT count(*) FROM documents';
SELECT lo_from_bytea(0, convert_to(repeat('large object ', 1000), 'UTF8')) \g /dev/null

GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO :app;
GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO :app;
VACUUM ANALYZE;

-- The last statement: its table tells that everything above is there.
CREATE TABLE lab_loaded AS SELECT now() AS at, :mb AS mb;
CHECKPOINT;
