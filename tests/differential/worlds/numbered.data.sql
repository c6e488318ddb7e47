INSERT INTO users (name) SELECT 'u' || i FROM generate_series(1, 8) i;
INSERT INTO orders (user_id, note) SELECT i % 8 + 1, 'o' || i FROM generate_series(1, 12) i;
