INSERT INTO users
SELECT g, (ARRAY['Zoe','adam','Åsa','eve','Bob','éva','bob','ADAM','zoe ','Ann'])[1 + g % 10] || CASE WHEN g % 3 = 0 THEN '' ELSE (g % 7)::text END,
    (ARRAY['Z','a','Å','e','B','é','b','A',NULL,'']) [1 + g % 10], CASE WHEN g % 11 <> 0 THEN 'n' || g % 13 END,
    (ARRAY['fx','eq','FX','bond'])[1 + g % 4], CASE WHEN g % 9 <> 0 THEN g * 37 % 50 - 10 END, (g % 5)::smallint,
    CASE WHEN g % 17 = 0 THEN 4611686018427387904 ELSE g::bigint * 1000003 END,
    CASE WHEN g % 8 <> 0 THEN ((g * 7919) % 100000)::numeric / 100 END,
    (ARRAY[1.0, 1.00, 2.5, 'NaN', 0.000001, 12345678901234567890.123456789, -3, NULL, 1, 2.50]::numeric[])[1 + g % 10],
    (ARRAY[0.0, -0.0, 1.5, 'NaN', 'Infinity', -2.25, NULL]::float8[])[1 + g % 7], (g % 4)::real / 2,
    CASE WHEN g % 12 <> 0 THEN date '2025-01-01' + (g * 11 % 400) END,
    timestamptz '2025-03-29 22:30:00+00' + (g * 97 % 1000) * interval '1 hour', timestamp '2025-01-01' + g % 30 * interval '7 hours',
    CASE g % 3 WHEN 0 THEN true WHEN 1 THEN false END, ('00000000-0000-0000-0000-' || lpad((g * 31 % 60)::text, 12, '0'))::uuid,
    (ARRAY['sad','ok','happy']::mood[])[1 + g % 3], decode(lpad(to_hex(g * 13 % 256), 2, '0'), 'hex'),
    make_interval(days => g % 40, hours => g % 30), jsonb_build_object('k', g % 4), (ARRAY['de','fr','xx',NULL])[1 + g % 4],
    ARRAY['t' || g % 3, 't' || g % 5]
FROM generate_series(1, 240) g;
INSERT INTO orders
SELECT u, o, ((u * 31 + o * 17) % 10000)::numeric / 100, CASE WHEN o % 4 <> 0 THEN (u + o) % 20 END,
    CASE WHEN o % 5 <> 0 THEN 'note ' || (u * o) % 9 END, date '2025-06-01' + (u + o) % 90
FROM generate_series(1, 240) u, generate_series(1, 5) o WHERE (u + o) % 3 <> 0 AND u % 10 <> 7;
INSERT INTO countries VALUES ('de', 'Deutschland', 1, 5), ('fr', 'France', 2, 8), ('it', 'Italia', NULL, 11);
INSERT INTO audit VALUES (1, 'x');
