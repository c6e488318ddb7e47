INSERT INTO k_small SELECT i, 'v' || i FROM generate_series(-10, 20) i;
INSERT INTO k_small VALUES (32767, 'max'), (-32768, 'min');
INSERT INTO k_int SELECT i, 'v' || i FROM generate_series(-5, 30) i;
INSERT INTO k_int VALUES (2147483647, 'max'), (-2147483648, 'min');
INSERT INTO k_text VALUES ('', 'empty'), (' ', 'blank'), ('a', '1'), ('A', '2'), ('ä', '3'), (E'a\u0308', '4 decomposed'), ('b', '5'), ('B', '6'),
  ('ß', '7'), ('ss', '8'), ('straße', '9'), ('strasse', '10'), ('1', '11'), ('10', '12'), ('9', '13'), ('a b', '14'), ('a-b', '15'), ('a''b', '16'),
  ('a\b', '17'), ('日本', '18'), ('😀', '19'), ('İ', '20'), ('i', '21'), ('I', '22'), ('ı', '23'), ('zebra', '24'), ('Zebra', '25'), ('null', '26'),
  ('NULL', '27'), ('a ', '28'), (repeat('long', 100), '29'), ('é', '30'), ('€', '31');
INSERT INTO k_varchar VALUES ('', 'e'), ('abc', '1'), ('abc ', '2'), ('ABC', '3'), ('äöü', '4'), ('12345678', '5'), ('7', '6');
INSERT INTO k_bpchar VALUES ('', 'e'), ('abc', '1'), ('ABC', '2'), ('a  b', '3'), ('äöü', '4'), ('123456', '5'), ('x', '6'), ('y', '7');
INSERT INTO k_uuid SELECT md5(i::text)::uuid, 'v' || i FROM generate_series(1, 25) i;
INSERT INTO k_uuid VALUES ('00000000-0000-0000-0000-000000000000', 'zero'), ('ffffffff-ffff-ffff-ffff-ffffffffffff', 'ones');
INSERT INTO k_numeric SELECT i / 4.0, 'v' || i FROM generate_series(-8, 30) i;
INSERT INTO k_numeric VALUES ('NaN', 'nan'), (9999999999.99, 'max'), (1000000, 'million');
INSERT INTO k_ts SELECT '2026-03-20 00:00:00+00'::timestamptz + i * interval '7 hours', 'v' || i FROM generate_series(1, 40) i;
INSERT INTO k_ts VALUES ('infinity', 'inf'), ('-infinity', '-inf'), ('0001-01-01 00:00:00+00', 'one'), ('2000-01-01 00:00:00+00', 'zero');
INSERT INTO k_wall SELECT '2026-03-20 00:00:00'::timestamp + i * interval '7 hours', 'v' || i FROM generate_series(1, 20) i;
INSERT INTO k_date SELECT date '2026-02-20' + i, 'v' || i FROM generate_series(1, 30) i;
INSERT INTO k_date VALUES ('infinity', 'inf');
INSERT INTO r_int SELECT i, 'v' || i FROM generate_series(-5, 35) i;
INSERT INTO r_numeric SELECT i / 2.0, 'v' || i FROM generate_series(-3, 30) i;
INSERT INTO r_numeric VALUES ('NaN', 'nan'), ('Infinity', 'inf'), (1.4999999999999999999999, 'just below'), (1.50000000000000000000001, 'just above');
INSERT INTO c_text SELECT (ARRAY['a','b','c','d','A'])[i % 5 + 1], 'v' || i FROM generate_series(1, 40) i;
INSERT INTO vals SELECT i,
  (ARRAY[0, '-0'::float8, 1, 1.5, 'NaN', 'Infinity', '-Infinity', NULL, 1e300, 1e-300, 0.1])[i % 11 + 1],
  (ARRAY[0, '-0'::float4, 1.1, 'NaN', NULL, 3.4e38])[i % 6 + 1],
  (ARRAY['1.0', '1.00', '1', 'NaN', '0', '-0', '1e30', '12345678901234567890123456789012345678.5', NULL, '0.1', 'Infinity', '1.000000000000000000000000000001'])[i % 12 + 1]::numeric,
  (ARRAY[1.5, 2.25, NULL, 1.5, 99999.9999])[i % 5 + 1],
  (ARRAY[1, 9223372036854775807, -9223372036854775808, NULL, 5000000000000000000, 5000000000000000001])[i % 6 + 1],
  (ARRAY[1, 2147483647, -2147483648, NULL, 2000000000])[i % 5 + 1],
  (ARRAY[1, 32767, -32768, NULL])[i % 4 + 1],
  (ARRAY['a', 'A', 'ä', 'b', 'B', '', ' a', 'a b', 'a-b', 'ab', 'Z', 'z', 'é', 'e', 'ß', 'ss', '日本', NULL, '😀', E'a\u0308', '_x', '10', '9'])[i % 23 + 1],
  (ARRAY['a', 'A', 'ä', 'b', 'B', '', ' a', NULL, 'Z', 'z', '日本', '😀', '~', '10', '9'])[i % 15 + 1],
  (ARRAY['x', 'x ', 'X', NULL, 'y'])[i % 5 + 1],
  (ARRAY['a', 'ab', 'a!', 'B', NULL, 'ä'])[i % 6 + 1],
  (ARRAY['n1', 'N1', 'n 1', NULL])[i % 4 + 1],
  (ARRAY['\x', '\x00', '\x0001', '\xff', '\x7f', NULL, '\x00ff'])[i % 7 + 1]::bytea,
  (ARRAY[true, false, NULL])[i % 3 + 1],
  (ARRAY['2026-01-01', '1999-12-31', 'infinity', '-infinity', NULL, '0044-03-15 BC', '2026-02-28'])[i % 7 + 1]::date,
  (ARRAY['2026-01-01 00:00:00', '2026-01-01 00:00:00.000001', 'infinity', NULL, '0044-03-15 12:00:00 BC'])[i % 5 + 1]::timestamp,
  (ARRAY['2026-01-01 00:00:00+00', '2026-01-01 01:00:00+02', '-infinity', NULL, '2026-03-29 01:30:00+00'])[i % 5 + 1]::timestamptz,
  (ARRAY['00:00', '24:00', '12:34:56.789', NULL])[i % 4 + 1]::time,
  (ARRAY['1 month', '30 days', '29 days 24 hours', '-1 day', NULL, '720 hours', '1 year 2 mons'])[i % 7 + 1]::interval,
  (ARRAY['{"a":1}', '{"a": 1}', '[1,2]', NULL])[i % 4 + 1]::json,
  (ARRAY['{"a":1}', '{"a": 1.0}', '[1,2]', '"x"', 'null', '{"b":1,"a":2}', NULL, '[]', '{}', 'true', '10', '9'])[i % 12 + 1]::jsonb,
  (ARRAY['{1,2}', '{1,2,3}', '{}', '{NULL}', NULL, '{{1,2},{3,4}}', '{10}', '{9}'])[i % 8 + 1]::int[],
  (ARRAY['{a,B}', '{}', '{"a b",NULL}', NULL, '{ä}'])[i % 5 + 1]::text[],
  (ARRAY['[1,5)', '[1,5]', 'empty', '(,3)', NULL, '[2,)'])[i % 6 + 1]::int4range,
  (ARRAY['10.0.0.1', '10.0.0.0/8', '9.255.255.255', '::1', NULL])[i % 5 + 1]::inet,
  CASE WHEN i % 5 = 0 THEN NULL ELSE md5((i % 9)::text)::uuid END,
  (ARRAY['happy', 'sad', 'ok', NULL])[i % 4 + 1]::mood,
  CASE WHEN i % 4 = 0 THEN NULL ELSE ROW(i % 3, 'p' || i % 2)::pair END,
  CASE WHEN i % 6 = 0 THEN NULL ELSE i % 6 END,
  CASE WHEN i % 5 = 0 THEN NULL ELSE (i % 7 * 1.25)::numeric::money END,
  CASE WHEN i % 5 = 0 THEN NULL ELSE (i % 16)::bit(4) END,
  CASE WHEN i % 3 = 0 THEN NULL ELSE xml('<a>' || i % 2 || '</a>') END
  FROM generate_series(1, 70) i;
INSERT INTO "Odd Names" SELECT i, 'q' || i, 's' || i % 3, 'ö', i * 2, i * 3 FROM generate_series(1, 20) i;
