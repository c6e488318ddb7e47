-- Run once on each new shard of docker/compose.yaml, by the image's own start script.
-- The control role owns schema shardgate; app is the role of the application.
CREATE ROLE shardgate LOGIN SUPERUSER PASSWORD 'control';
CREATE ROLE app LOGIN;
-- The same verifier on every shard and in users.yaml: two PASSWORD 'secret' would store different ones.
ALTER ROLE app PASSWORD 'SCRAM-SHA-256$4096:k5ONUTEsunBN9uZcBGDpKA==$H93I7Cnj0L5726EVCcEFo+3FM0xsmUtiHMrFsBcseBI=:KuTU7+s9nVNv+gI8GslRiNdtIFsX+CAbB+cknH47mQk=';
GRANT CREATE ON SCHEMA public TO app;

SET ROLE app;
CREATE TABLE users (
  id bigint PRIMARY KEY,
  name text NOT NULL
);
CREATE TABLE orders (
  user_id bigint NOT NULL REFERENCES users (id),
  id bigint NOT NULL,
  amount numeric(14,2) NOT NULL,
  placed_at timestamptz NOT NULL,
  PRIMARY KEY (user_id, id)
);
