INSERT INTO rates VALUES ('a', 1.5), ('b', 2.25);
INSERT INTO parts (k, id, amount) SELECT k, 0, k FROM generate_series(1, 12) k;
