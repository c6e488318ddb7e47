CREATE TABLE currencies (
  code text PRIMARY KEY,
  name text NOT NULL
);
CREATE TABLE instruments (
  symbol text PRIMARY KEY,
  category text NOT NULL,
  name text NOT NULL
);
CREATE TABLE users (
  id bigint PRIMARY KEY,
  name text NOT NULL,
  currency text NOT NULL REFERENCES currencies (code),
  balance numeric(14,2) NOT NULL DEFAULT 0,
  joined_at timestamptz NOT NULL
);
CREATE TABLE orders (
  user_id bigint NOT NULL REFERENCES users (id),
  id bigint NOT NULL,
  instrument text NOT NULL REFERENCES instruments (symbol),
  side text NOT NULL CHECK (side IN ('buy', 'sell')),
  quantity bigint NOT NULL,
  price numeric(14,5) NOT NULL,
  placed_at timestamptz NOT NULL,
  PRIMARY KEY (user_id, id)
);
CREATE INDEX orders_placed_at ON orders (placed_at, id);
CREATE TABLE trades (
  instrument text NOT NULL REFERENCES instruments (symbol),
  id bigint NOT NULL,
  quantity bigint NOT NULL,
  price numeric(14,5) NOT NULL,
  at timestamptz NOT NULL,
  PRIMARY KEY (instrument, id)
);
CREATE INDEX trades_at ON trades (instrument, at);
CREATE TABLE events (
  at timestamptz NOT NULL,
  id bigint NOT NULL,
  user_id bigint NOT NULL,
  kind text NOT NULL,
  PRIMARY KEY (at, id)
);
INSERT INTO currencies (code, name) VALUES
  ('EUR', 'Euro'), ('USD', 'US dollar'), ('GBP', 'Pound sterling'), ('JPY', 'Japanese yen'),
  ('CHF', 'Swiss franc'), ('PLN', 'Polish zloty'), ('TRY', 'Turkish lira'), ('ZAR', 'South African rand');
