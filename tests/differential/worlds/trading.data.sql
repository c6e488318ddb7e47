INSERT INTO countries VALUES ('DE', 'Germany', 'Europe'), ('FR', 'France', 'Europe'), ('GB', 'Great Britain', 'Europe'),
  ('JP', 'Japan', 'Asia'), ('US', 'United States', 'America'), ('BR', 'Brazil', 'America'), ('AQ', 'Antarctica', NULL);
INSERT INTO instruments VALUES
  ('EURUSD', 'fx_major', 'Euro', 0.00001, true), ('GBPUSD', 'fx_major', 'Cable', 0.00001, true),
  ('USDJPY', 'fx_major', 'Gopher', 0.001, true), ('USDTRY', 'fx_exotic', 'Dollar Lira', 0.0001, true),
  ('USDZAR', 'fx_exotic', 'Dollar Rand', 0.0001, false), ('AAPL', 'equity', 'Apple', 0.01, true),
  ('MSFT', 'equity', 'Microsoft', 0.01, true), ('SAP', 'equity', 'SAP', 0.01, true), ('TSLA', 'equity', 'Tesla', 0.01, true),
  ('XAUUSD', 'metal', 'Gold', 0.01, true), ('ZBRA', 'equity', 'Zebra', 0.01, false);
INSERT INTO users
  SELECT i, (ARRAY['anna','Anna','Ärne','zoe','Zoë','bert','Bert','çelik','eve','Eve','ñandu','öz'])[i % 12 + 1] || CASE WHEN i % 5 = 0 THEN '' ELSE ' ' || (i % 7)::text END,
    CASE WHEN i % 6 = 0 THEN NULL ELSE 'u' || i || '@example.com' END,
    CASE WHEN i % 11 = 0 THEN NULL ELSE (ARRAY['DE','FR','GB','JP','US'])[i % 5 + 1] END,
    (i * 37 % 1000) + (i % 100) / 100.0,
    CASE WHEN i % 10 = 0 THEN NULL WHEN i % 13 = 0 THEN 'NaN' ELSE i % 17 * 0.5 END,
    CASE WHEN i % 9 = 0 THEN NULL ELSE i % 4 END,
    CASE WHEN i % 3 = 0 THEN NULL ELSE i / 2 + 1 END,
    '2026-01-01 00:00:00+00'::timestamptz + i * interval '31 hours 7 minutes',
    CASE WHEN i % 8 = 0 THEN NULL ELSE date '1960-02-29' + i * 97 END,
    CASE WHEN i % 4 = 0 THEN NULL ELSE ARRAY['t' || i % 3, 'x'] END,
    CASE WHEN i % 7 = 0 THEN NULL ELSE jsonb_build_object('age', i % 50, 'langs', jsonb_build_array('de', 'l' || i % 4)) END
  FROM generate_series(1, 90) i;
INSERT INTO orders
  SELECT i % 60 + 1, 1000 + i, (ARRAY['EURUSD','GBPUSD','USDJPY','USDTRY','AAPL','MSFT','SAP','XAUUSD'])[i % 8 + 1],
    (ARRAY['buy','sell','short'])[i % 3 + 1]::side, i % 20 + 1,
    CASE WHEN i % 15 = 0 THEN NULL ELSE 10 + i % 90 + 0.25 END,
    CASE WHEN i % 15 = 0 THEN NULL ELSE (i % 20 + 1) * (10 + i % 90 + 0.25) * 7 END,
    '2026-02-01 00:00:00+00'::timestamptz + i * interval '9 hours 11 minutes',
    CASE i % 6 WHEN 0 THEN NULL WHEN 1 THEN '' WHEN 2 THEN 'rush' WHEN 3 THEN 'Rush' ELSE 'note ' || i % 10 END
  FROM generate_series(1, 200) i;
INSERT INTO accounts SELECT i % 40 + 1, 'DE' || 1000 + i, CASE WHEN i % 12 = 0 THEN NULL ELSE i * 1000000 - 20000000 END FROM generate_series(1, 70) i;
INSERT INTO events
  SELECT '2026-01-15 12:00:00+00'::timestamptz + i * interval '1 day 5 hours', i, CASE WHEN i % 9 = 0 THEN NULL ELSE i % 95 END,
    (ARRAY['login','logout','quote','fill'])[i % 4 + 1], CASE WHEN i % 5 = 0 THEN NULL ELSE jsonb_build_object('n', i % 3) END
  FROM generate_series(1, 150) i;
INSERT INTO events VALUES ('2026-03-01 00:00:00+00', 900, 1, 'edge', NULL), ('2026-02-28 23:59:59.999999+00', 901, 1, 'edge', NULL),
  ('2026-05-01 00:00:00+00', 902, 2, 'edge', NULL), ('-infinity', 903, 3, 'edge', NULL), ('infinity', 904, 3, 'edge', NULL);
INSERT INTO trades
  SELECT (ARRAY['EURUSD','GBPUSD','USDJPY','USDTRY','USDZAR','AAPL','MSFT','SAP','TSLA','XAUUSD'])[i % 10 + 1], i,
    '2026-06-01 09:00:00+00'::timestamptz + i * interval '11 minutes', i % 9 * 10 + 5, 1 + i % 40 + i % 10 / 10.0,
    i % 90 + 1, CASE WHEN i % 4 = 0 THEN NULL ELSE i % 30 + 1 END
  FROM generate_series(1, 180) i;
INSERT INTO audit_log SELECT i, 'w' || i % 4, CASE WHEN i % 3 = 0 THEN NULL ELSE 'did ' || i END, '2026-01-01 00:00:00+00'::timestamptz + i * interval '1 hour' FROM generate_series(1, 30) i;
INSERT INTO archive SELECT i, 'old ' || i FROM generate_series(1, 10) i;
